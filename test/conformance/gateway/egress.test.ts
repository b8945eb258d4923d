import { freePorts } from '@zonemesh/cli/scene/ports.ts'
import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { planesAt, startTraffic, until, zonemesh } from '../../e2e/rig.ts'
import { ask } from './ask.ts'
import { mesh } from './documents.ts'
import { v1, v2 } from './feature.ts'
import { type Scene, startScene } from './scene.ts'

// v1 runs in west, v2 in east, where the gateway is.
const prefix = (value: string) => ({ path: { match: 'PREFIX', value } })
const feature = {
  name: 'egress',
  routes: [
    {
      http: [
        { matches: [prefix('/far')], backends: [{ to: v1 }] },
        { matches: [prefix('/pinned')], backends: [{ to: v1, tags: { 'kuma.io/zone': 'west' } }] },
        { matches: [prefix('/near')], backends: [{ to: v2 }] },
      ],
    },
  ],
  cases: [],
}
const local = '127.0.0.1'
let scene: Scene
let port = 0
let otherPort = 0
let restart: () => unknown

beforeAll(async () => {
  scene = await startScene([feature])
  const free = await freePorts(systemRandom, 2)
  port = free[0] ?? 0
  otherPort = free[1] ?? 0
}, 180_000)
afterAll(() => scene?.[Symbol.asyncDispose]())

const get = (path: string) =>
  ask({ host: local, port: scene.portOf('egress'), method: 'GET', path, headers: { host: 'any.example' } })
const answered = (path: string, wanted: number) =>
  until(
    `${path} is answered with ${wanted}`,
    () => get(path),
    ({ status }) => status === wanted,
    60_000,
  )
const wantEgress = (zoneEgress: boolean) =>
  scene.global.need('PUT', `/meshes/${mesh}`, {
    type: 'Mesh',
    name: mesh,
    mtls: { enabledBackend: 'ca-1', backends: [{ name: 'ca-1', type: 'builtin' }] },
    routing: { zoneEgress },
  })
const explain = (path: string) => {
  const url = `http://any.example:${scene.portOf('egress')}${path}`
  return zonemesh('explain', url, '--from', 'east/gateway-east', ...planesAt(scene.global.address, scene.zones))
}
const start = (name: string, at: number) =>
  scene.startProxy('east', { type: 'ZoneEgress', name, networking: { address: local, port: at } })

test('EG2 a mesh that requires an egress has no path out of a zone without one, explain reports it, and instances of the own zone answer', async () => {
  await answered('/near', 200)
  await answered('/far', 200)
  await wantEgress(true)
  await answered('/far', 503)
  expect((await get('/near')).status).toBe(200)
  const { code, stdout } = await explain('/far')
  expect({ code, stdout }).toMatchObject({ code: 1, stdout: expect.stringMatching(/✘ egress .* zone east has none/) })
})

test('EG1 through an egress the other zone is reachable, also if a route requires that zone, and without it not any more', async () => {
  await start('out', port)
  for (const path of ['/far', '/pinned']) {
    expect(JSON.parse((await answered(path, 200)).body).zone).toBe('west')
    const { stdout } = await until(
      `the way of ${path} is open`,
      () => explain(path),
      (answer) => answer.code === 0 && !answer.stdout.includes('not compared'),
    )
    expect(stdout).toMatch(
      /✔ egress +ZoneEgress out of zone east at .* leads .*\n(?:.*\n)*✔ ingress +ZoneIngress ingress-west/,
    )
  }
  restart = await scene.stopProxy('out')
  await answered('/far', 503)
})

test('EG4 no request fails while a mesh switches between both paths, and another egress is added and removed', async () => {
  await wantEgress(false)
  await answered('/far', 200)
  restart()
  await until('the egress is connected', overview, (one) => one !== undefined)
  await using traffic = startTraffic(() => get('/far'), 4)
  for (const wanted of [true, false, true]) {
    await traffic.more(200)
    await wantEgress(wanted)
  }
  await start('out-2', otherPort)
  await until('both are connected', overviews, (all) => all.length === 2)
  await traffic.more(400)
  await scene.stopProxy('out-2')
  await traffic.more(200)
  const { requests, failures } = await traffic.stop()
  expect({ failures, isEnough: requests > 1_200 }).toEqual({ failures: [], isEnough: true })
})

/** The global's overviews of egresses whose Envoys have had a stream. */
async function overviews(): Promise<readonly JsonObject[]> {
  const { json } = await scene.global.need('GET', '/zoneegresses/_overview')
  const { items } = json as { items: readonly (JsonObject & { zoneEgressInsight?: object })[] } // Kuma's form
  return items.filter(({ zoneEgressInsight }) => zoneEgressInsight !== undefined)
}
const overview = async () => (await overviews())[0]

test('EG5 the global shows the egress as Kuma does, and the other zone does not receive it', async () => {
  expect(await until('it is shown', overview, (one) => one !== undefined)).toMatchObject({
    type: 'ZoneEgressOverview',
    labels: { 'kuma.io/display-name': 'out', 'kuma.io/origin': 'zone', 'kuma.io/zone': 'east' },
    kri: 'kri_ze__east__out_',
    zoneEgress: { zone: 'east', networking: { address: local, port } },
    zoneEgressInsight: { subscriptions: [{ connectTime: expect.any(String) }] },
  })
  const { stdout } = await zonemesh('get', 'zoneegresses', '--address', scene.zones.west.apiAddress)
  expect(stdout).not.toContain('out')
  expect((await zonemesh('get', 'ze', '--address', scene.global.address)).stdout).toMatch(/out/)
})
