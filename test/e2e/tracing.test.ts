import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { createClient } from '@zonemesh/cli/base/client.ts'
import { freePorts } from '@zonemesh/cli/scene/ports.ts'
import { createProcesses } from '@zonemesh/cli/scene/processes.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import { idsOf } from '@zonemesh/shared/env/trace.ts'
import { expect, test } from 'vitest'
import { traceparentOf } from '../../packages/shared/test/env/recording-tracer.ts'
import { startHomeZone } from './home-zone.ts'
import { type ReceivedSpan, startOtlpReceiver } from './otlp-receiver.ts'
import { api, temporaryFolder, until, untilLogged } from './rig.ts'
import { createShell, useFreePorts } from './scene-folder.ts'

/** Two zones with a builtin gateway each. One route selects both. */
const scene = `policies:
  - policies
zones:
  east:
    proxies:
      - resource:
          type: Dataplane
          name: gateway-east
          networking: { gateway: { type: BUILTIN, tags: { kuma.io/service: edge-east } } }
  west:
    proxies:
      - resource:
          type: Dataplane
          name: gateway-west
          networking: { gateway: { type: BUILTIN, tags: { kuma.io/service: edge-west } } }
`
const gateway = (zone: string, port: number) => `type: MeshGateway
mesh: default
name: edge-${zone}
selectors: [{ match: { kuma.io/service: edge-${zone} } }]
conf:
  listeners:
    - port: ${port}
      protocol: HTTP
      hostname: shop.example.com
      tags: { port: http }
`
const route = (path: string) => ({
  type: 'MeshGatewayRoute',
  mesh: 'default',
  name: 'shop',
  selectors: ['edge-east', 'edge-west'].map((service) => ({ match: { 'kuma.io/service': service } })),
  conf: {
    http: {
      rules: [
        {
          matches: [{ path: { match: 'PREFIX', value: path } }],
          backends: [{ weight: 100, destination: { 'kuma.io/service': 'echo' } }],
        },
      ],
    },
  },
})
const quick = { OTEL_BSP_SCHEDULE_DELAY: '50', OTEL_EXPORTER_OTLP_TIMEOUT: '500' }
const routePath = '/meshes/default/meshgatewayroutes/shop'

/** Writes the scene and starts it in the background, with these variables in the environment of all its processes. */
async function startTracedScene(environment: Readonly<Record<string, string>>) {
  const folder = temporaryFolder()
  const shell = createShell(folder, { environment })
  const zonemesh = async (command: string) => {
    const outcome = await shell(`zonemesh ${command}`, folder.path)
    if (outcome.code !== 0) throw new Error(`zonemesh ${command}: ${outcome.output}`)
    return outcome.stdout
  }
  await zonemesh('init')
  writeFileSync(join(folder.path, 'zonemesh.yaml'), scene)
  writeFileSync(join(folder.path, 'policies/gateway.yaml'), `${gateway('east', 8080)}---\n${gateway('west', 8443)}`)
  writeFileSync(join(folder.path, 'policies/route.yaml'), JSON.stringify(route('/')))
  await useFreePorts(folder.path)
  await zonemesh('up --detach')
  return {
    zonemesh,
    logOf: (name: string) => readFileSync(join(folder.path, `.zonemesh/${name}.log`), 'utf8'),
    address: `http://127.0.0.1:${portsIn(folder.path)['global.api'] ?? 0}`,
    async [Symbol.asyncDispose]() {
      await zonemesh('down')
      folder[Symbol.dispose]()
    },
  }
}

/** The ports that the scene keeps. The command writes its own format. */
const portsIn = (folder: string): Readonly<Record<string, number>> =>
  JSON.parse(readFileSync(join(folder, '.zonemesh/ports.json'), 'utf8'))

const target = (address: string) => ({ address, token: undefined, tokenFile: undefined, caCertFile: undefined })

test('OT9 OT11 one trace leads from a PUT at the global over sync and compilation to the ack of an Envoy in each zone', async () => {
  await using receiver = await startOtlpReceiver()
  await using mesh = await startTracedScene({ ...quick, OTEL_EXPORTER_OTLP_ENDPOINT: receiver.endpoint })
  const caller = traceparentOf(77)
  const { traceId, spanId } = idsOf(caller)
  await createClient(target(mesh.address), { TRACEPARENT: caller }).need('PUT', routePath, route('/new'))
  const ofTrace = () => receiver.spans.filter((span) => span.traceId === traceId)
  const spans = await until('all spans have arrived', ofTrace, (found) => found.length >= 8)
  const of = (name: string, zone?: string): ReceivedSpan => {
    const found = spans.filter((span) => span.name === name && span.attributes['zonemesh.zone'] === zone)
    if (found.length !== 1 || !found[0]) throw new Error(`${found.length} spans "${name}" of ${zone}`)
    return found[0]
  }
  const request = of('PUT /meshes/:mesh/meshgatewayroutes/:name')
  expect(request).toMatchObject({ service: 'zonemesh-global', parentId: spanId, kind: 2, error: undefined })
  const commit = of('commit')
  expect(commit).toMatchObject({
    parentId: request.spanId,
    attributes: { 'zonemesh.kind': 'MeshGatewayRoute', 'zonemesh.mesh': 'default', 'zonemesh.name': 'shop' },
  })
  for (const zone of ['east', 'west']) {
    const apply = of('apply a round', zone)
    const peer = { 'zonemesh.peer': 'global', 'zonemesh.peer_revision': expect.any(Number) }
    expect(apply).toMatchObject({ service: 'zonemesh-zone', parentId: commit.spanId, attributes: peer })
    const compile = of('compile', zone)
    expect(compile).toMatchObject({
      parentId: apply.spanId,
      attributes: { 'zonemesh.revision': apply.attributes['zonemesh.revision'], 'zonemesh.proxies': 1 },
    })
    expect(of('push to a proxy', zone)).toMatchObject({
      parentId: compile.spanId,
      error: undefined,
      attributes: { 'zonemesh.proxy': `${zone}/Dataplane/default/gateway-${zone}`, 'zonemesh.mesh': 'default' },
    })
  }
  expect(spans).toHaveLength(8)
  expect(receiver.faults).toEqual([])
  // A change without a trace of its caller begins one of its own.
  await api(mesh.address).need('PUT', routePath, route('/newer'))
  const roots = await until(
    'the second trace has arrived',
    () => receiver.spans.filter(({ name, parentId }) => name.startsWith('PUT ') && parentId === ''),
    (found) => found.length > 0,
  )
  expect(roots.map((root) => root.traceId)).not.toContain(traceId)
  // An Envoy refuses a listener whose address is in use.
  const taken = createServer().listen(0, '0.0.0.0')
  await once(taken, 'listening')
  const bound = taken.address()
  const port = bound !== null && typeof bound === 'object' ? bound.port : 0
  await api(mesh.address).need('PUT', '/meshes/default/meshgateways/edge-east', {
    type: 'MeshGateway',
    mesh: 'default',
    name: 'edge-east',
    selectors: [{ match: { 'kuma.io/service': 'edge-east' } }],
    conf: { listeners: [{ port, protocol: 'HTTP', hostname: 'shop.example.com', tags: { port: 'http' } }] },
  })
  const refused = await until(
    'the refusal has arrived',
    () => receiver.spans.filter(({ error }) => error !== undefined),
    (found) => found.length > 0,
  )
  taken.close()
  expect(refused).toMatchObject([
    { name: 'push to a proxy', error: expect.stringMatching(/^Envoy refused the resource "/) },
  ])
})

test('OT12 if no receiver answers, changes succeed and are served, and the log states it once', async () => {
  const folder = temporaryFolder()
  const processes = createProcesses(folder.path)
  const [closed = 0, ...ports] = await freePorts(systemRandom, 12)
  try {
    const environment = { ...process.env, ...quick, OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${closed}` }
    const { address } = await startHomeZone(processes, folder, () => ports.pop() ?? 0, environment)
    const logFile = processes.get('zone-home')?.logFile ?? ''
    for (let index = 0; index < 5; index += 1) await api(address).need('PUT', routePath, route(`/${index}`))
    await untilLogged(logFile, /cannot export spans/)
    for (let index = 5; index < 10; index += 1) await api(address).need('PUT', routePath, route(`/${index}`))
    await processes.kill('zone-home', 'SIGTERM')
    const lines = readFileSync(logFile, 'utf8')
      .split('\n')
      .filter((line) => line.includes('export'))
    expect(lines.filter((line) => line.includes('cannot export spans'))).toHaveLength(1)
    expect(readFileSync(logFile, 'utf8')).toContain('"msg":"stopped"')
  } finally {
    await processes.stop()
    folder[Symbol.dispose]()
  }
})
