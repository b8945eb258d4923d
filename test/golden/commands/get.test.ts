import { get } from '@zonemesh/cli/commands/get.ts'
import { afterAll, beforeAll, test } from 'vitest'
import { type Rig, runCommand, startZoneRig, timeout } from '../../../packages/cli/test/command-rig.ts'
import { clientOf, startTestGlobal, startTestZone, stoppedTestZone } from '../../../packages/cli/test/rig.ts'
import { expectPage, type Shown } from './text.ts'

let rig: Rig

beforeAll(async () => {
  rig = await startZoneRig()
  await rig.client.need('POST', '/_commit', { documents: scene, atomic: true })
})
afterAll(() => rig[Symbol.asyncDispose]())

const service = (name: string) => [{ match: { 'kuma.io/service': name } }]
const everything = service('*')
const inbound = (port: number, tags: object, more: object = {}) => ({ port, tags, ...more })
const web = { 'kuma.io/service': 'web', 'kuma.io/protocol': 'http' }

const scene = [
  {
    ...{ type: 'Mesh', name: 'shop' },
    mtls: { enabledBackend: 'ca-1', backends: [{ name: 'ca-1', type: 'builtin' }] },
    routing: { zoneEgress: true },
  },
  timeout('slow', { connect: '10s' }),
  timeout('quick', { mesh: 'shop', labels: { team: 'a' } }),
  {
    ...{ type: 'Dataplane', mesh: 'default', name: 'web-1' },
    networking: { address: '10.0.0.1', inbound: [inbound(8080, { ...web, version: 'v1' })] },
  },
  {
    ...{ type: 'Dataplane', mesh: 'default', name: 'web-with-a-long-name-2' },
    networking: { address: '10.0.0.22', inbound: [inbound(8080, { ...web, version: 'v2' }, { state: 'NotReady' })] },
  },
  {
    ...{ type: 'Dataplane', mesh: 'default', name: 'edge-1' },
    networking: { address: '10.0.0.3', gateway: { type: 'BUILTIN', tags: { 'kuma.io/service': 'edge' } } },
  },
  {
    ...{ type: 'ZoneIngress', name: 'in-1' },
    networking: { address: '10.0.0.4', port: 10_001, advertisedAddress: '203.0.113.4', advertisedPort: 10_001 },
  },
  { type: 'ZoneEgress', name: 'out-1', networking: { address: '10.0.0.5', port: 10_002 } },
  {
    ...{ type: 'MeshGateway', mesh: 'default', name: 'edge', selectors: service('edge') },
    conf: {
      listeners: [
        { port: 80, protocol: 'HTTP', hostname: 'shop.example' },
        { port: 8080, protocol: 'HTTP' },
      ],
    },
  },
  {
    ...{ type: 'MeshGatewayRoute', mesh: 'default', name: 'edge-route', selectors: service('edge') },
    conf: {
      http: {
        hostnames: ['shop.example'],
        rules: [
          {
            matches: [{ path: { match: 'PREFIX', value: '/cart' } }],
            backends: [
              { weight: 9, destination: { 'kuma.io/service': 'web' } },
              { weight: 1, destination: { 'kuma.io/service': 'web', version: 'v2' } },
            ],
          },
          {
            matches: [{ path: { match: 'EXACT', value: '/old' }, method: 'GET' }],
            filters: [{ redirect: { scheme: 'https', statusCode: 302 } }],
          },
        ],
      },
    },
  },
  { type: 'TrafficPermission', mesh: 'default', name: 'all', sources: everything, destinations: everything },
  {
    ...{ type: 'MeshTrafficPermission', mesh: 'default', name: 'allow' },
    spec: { from: [{ targetRef: { kind: 'MeshSubset', tags: { team: 'a' } }, default: { action: 'Allow' } }] },
  },
  { type: 'Secret', mesh: 'default', name: 'shop', data: Buffer.from('a secret').toString('base64') },
]

async function shown(title: string, ...args: readonly string[]): Promise<Shown> {
  const { text, notes } = await rig.run(get, ...args)
  return {
    title,
    command: `zonemesh get ${args.map((one) => (one.includes('{') ? `'${one}'` : one)).join(' ')}`,
    lines: [...text.split('\n'), ...notes],
  }
}

test.each([
  ...['meshes', 'dataplanes', 'zoneingresses', 'zoneegresses', 'meshgateways', 'meshgatewayroutes', 'timeouts'],
  ...['trafficpermissions', 'meshtrafficpermissions', 'secrets', 'retries'],
])('B90 get of a kind equals its golden text: %s', async (kind) => {
  expectPage(`get-${kind}`, [
    await shown('all', kind, ...(kind === 'timeouts' ? ['-A'] : [])),
    ...(kind === 'dataplanes' ? [await shown('the wide form', kind, '-o', 'wide')] : []),
  ])
})

test('B90 get of one resource equals its golden text in each form', async () => {
  expectPage('get-one', [
    await shown('as YAML', 'timeout', 'slow'),
    await shown('as a row', 'timeout', 'slow', '-o', 'table'),
    await shown('as JSON', 'timeout', 'slow', '-o', 'json'),
    await shown('as a name', 'timeout', 'slow', '-o', 'name'),
    await shown('as values of a template', 'timeouts', '-A', '-o', 'jsonpath={.items[*].conf.connectTimeout}'),
  ])
})

test('B90 get of the zones of a global equals its golden text: connected, not connected and not started', async () => {
  await using stack = new AsyncDisposableStack()
  const global = await startTestGlobal()
  stack.defer(() => global.close())
  const east = await startTestZone(global, 'east')
  stack.defer(() => east.close())
  await stoppedTestZone(global, 'west')
  const client = clientOf(global)
  await client.need('PUT', '/zones/north', { type: 'Zone', name: 'north', enabled: true })
  await client.need('PUT', '/zones/south', { type: 'Zone', name: 'south', enabled: false })
  const { printed } = await runCommand(get, ['zones', '--address', `http://127.0.0.1:${global.apiPort}`])
  expectPage('get-zones', [{ title: 'all', command: 'zonemesh get zones', lines: printed }])
})
