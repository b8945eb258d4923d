import { explain } from '@zonemesh/core/explain/explain.ts'
import { readRequest } from '@zonemesh/core/explain/request.ts'
import { type Sources, stepNames } from '@zonemesh/core/explain/sources.ts'
import { expect, test } from 'vitest'
import { faults } from './faults.ts'
import { faultsBetweenMeshes } from './faults-between-meshes.ts'
import { add } from './plant.ts'
import { healthyMesh, meshWithEgress, sourcesOf, twoMeshes } from './scene.ts'

const shop = 'http://shop.example.com:8080/cart'

function ask(sources: Sources, url = shop, from = { zone: 'east', gateway: 'gateway-1' }, headers = {}) {
  const request = readRequest(url, { headers })
  if (!request.ok) throw new Error(request.error)
  return explain(request.value, from, sources)
}

test('Q1 an open path is followed to its end, and each step has the rows and revisions that decided it', async () => {
  const found = ask(sourcesOf(await healthyMesh()))
  expect(found.mismatch).toBeUndefined()
  expect(new Set(found.steps.map(({ step }) => step))).toEqual(new Set(stepNames.filter((step) => step !== 'egress')))
  expect(found.steps.find(({ step }) => step === 'route')).toMatchObject({
    text: expect.stringContaining('MeshGatewayRoute shop'),
    decidedBy: [{ key: 'global/MeshGatewayRoute/default/shop', revision: 5 }],
    agreement: [],
  })
  expect(found.steps.flatMap(({ agreement }) => agreement)).toEqual([])
})

test('Q1 the policies that decide a route and the instances behind its endpoints are named with it', async () => {
  const rows = await healthyMesh()
  const everything = [{ match: { 'kuma.io/service': '*' } }]
  add(
    'TrafficPermission',
    'allow-all',
    { kind: 'Timeout', name: 'slow' },
    { sources: everything, destinations: everything, conf: { http: { requestTimeout: '20s' } } },
  )(rows)
  const found = ask(sourcesOf(rows))
  const rowsOf = (wanted: string) =>
    found.steps.flatMap(({ step, decidedBy }) => (step === wanted ? decidedBy.map(({ key }) => key) : [])).sort()
  expect(rowsOf('route')).toEqual(['global/MeshGatewayRoute/default/shop', 'global/Timeout/default/slow'])
  expect(rowsOf('endpoints')).toEqual(['east/Dataplane/default/echo-v1', 'west/AvailableService/default/west-v2'])
})

test('Q1 the path goes through the egress of the zone if the mesh requires it', async () => {
  const found = ask(sourcesOf(await meshWithEgress()))
  expect(found.mismatch).toBeUndefined()
  expect(new Set(found.steps.map(({ step }) => step))).toEqual(new Set(stepNames))
  expect(found.steps.map(({ text }) => text)).toContain(
    'echo_demo_svc_8080 is at 127.0.0.14:10002, the egress of east (weight 1)',
  )
  expect(found.steps.filter(({ step }) => step === 'egress' || step === 'ingress')).toMatchObject([
    {
      text: 'ZoneEgress egress-east of zone east at 127.0.0.14:10002 leads echo_demo_svc_8080{mesh=default,version=v2} to 127.0.0.20:10001',
      decidedBy: [{ key: 'east/ZoneEgress//egress-east' }],
      agreement: [],
    },
    { text: expect.stringContaining('ZoneIngress ingress-west of zone west at 127.0.0.20:10001') },
  ])
})

test('Q1 HTTPS and TCP requests are followed too', async () => {
  const sources = sourcesOf(await healthyMesh())
  expect(ask(sources, 'https://shop.example.com:8443/').mismatch).toBeUndefined()
  expect(ask(sources, 'tcp://any:9000').mismatch).toBeUndefined()
})

test('Q1 a request of a sidecar is followed by the name of a service and by an explicit outbound', async () => {
  const sources = sourcesOf(await healthyMesh())
  const from = { zone: 'east', gateway: 'client-1' }
  const named = ask(sources, 'http://echo.demo.svc.8080.mesh:8080/x', from)
  expect(named.mismatch).toBeUndefined()
  expect(named.steps[0]).toMatchObject({
    step: 'name',
    text: 'echo.demo.svc.8080.mesh is echo_demo_svc_8080, at 240.0.0.7',
    decidedBy: [{ key: 'east/VirtualAddress/default/echo_demo_svc_8080' }],
  })
  expect(named.steps.filter(({ step }) => step === 'service')).toHaveLength(2)
  expect(ask(sources, 'http://localhost:33033/', from).mismatch).toBeUndefined()
})

test('Q1 a request into another mesh is followed by an outbound to its gateway, and through the listener and route there', async () => {
  const sources = sourcesOf(await twoMeshes())
  const buyer = { zone: 'east', gateway: 'buyer-1' }
  const found = ask(sources, 'http://localhost:33090/v2/pay', buyer, { host: 'pay.billing.mesh' })
  expect(found.mismatch).toBeUndefined()
  expect(found.steps.map(({ step }) => step)).toEqual([
    'listener',
    'backend',
    'endpoints',
    'ingress',
    'certificate',
    'gateway',
    'listener',
    'route',
    'backend',
    'endpoints',
    'service',
    'permission',
    'certificate',
  ])
  const named = ask(sources, 'http://pay.billing.mesh:8090/v2/pay', buyer)
  expect(named.steps.slice(0, 2)).toMatchObject([
    { step: 'name', text: 'pay.billing.mesh is gateway door of mesh billing, at 240.0.0.9' },
    { step: 'listener' },
  ])
  expect(named).toMatchObject({ mismatch: undefined, steps: { length: found.steps.length + 1 } })
})

test('Q1 a request is followed from a gateway through the gateway of another mesh, with the changes of its route', async () => {
  const sources = sourcesOf(await twoMeshes())
  const found = ask(sources, 'http://shop.example.com:8080/pay/x')
  expect(found.mismatch).toBeUndefined()
  expect(found.steps.map(({ step }) => step).filter((step) => step === 'route' || step === 'gateway')).toEqual([
    'gateway',
    'route',
    'gateway',
    'route',
  ])
})

test('Q2 a plane that could not be queried is reported, and is not a mismatch', async () => {
  const sources = sourcesOf(await healthyMesh())
  const found = ask({
    ...sources,
    global: undefined,
    proxies: new Map(),
    zones: new Map([...sources.zones].slice(0, 1)),
  })
  expect(found.mismatch).toBeUndefined()
  const notes = found.steps.flatMap(({ agreement }) => agreement)
  expect(notes).toContain('MeshGatewayRoute shop: the global gave no answer')
  expect(notes).toContain('east/Dataplane/default/gateway-1: the state of its Envoy is not known')
  expect(found.steps.map(({ text }) => text)).toContain(
    'what happens in zone west is not known: the zone gave no answer',
  )
})

test.each([...faults, ...faultsBetweenMeshes])(
  'Q3 explain names the fault: $name',
  async ({ scene, plant, spoil, url, from, step, problem, remedy }) => {
    const rows = await (scene ?? healthyMesh)()
    await plant?.(rows)
    const sources = sourcesOf(rows)
    const { mismatch } = ask(spoil ? spoil(sources) : sources, url, from)
    expect(mismatch).toMatchObject({
      step,
      problem: expect.stringMatching(problem),
      remedy: expect.stringMatching(remedy),
    })
  },
)

test('Q3 at least thirty faults are planted', () => {
  expect(faults.length).toBeGreaterThanOrEqual(30)
})
