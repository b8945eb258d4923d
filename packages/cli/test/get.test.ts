import { afterEach, beforeEach, expect, test } from 'vitest'
import { get } from '../src/commands/get.ts'
import { type Rig, startZoneRig, timeout } from './command-rig.ts'

let rig: Rig

beforeEach(async () => {
  rig = await startZoneRig()
})
afterEach(() => rig[Symbol.asyncDispose]())

const write = (...documents: readonly object[]) => rig.client.need('POST', '/_commit', { documents, atomic: true })
const service = (name: string) => [{ match: { 'kuma.io/service': name } }]
const dataplane = (name: string, tags: object, more: object = {}) => ({
  type: 'Dataplane',
  mesh: 'default',
  name,
  networking: { address: '10.0.0.1', inbound: [{ port: 8080, tags, ...more }] },
})
/** The cells of a line. */
const cells = (line: string | undefined) => (line ?? '').split(/ {2,}/)

const scene = [
  { type: 'Mesh', name: 'shop', mtls: { enabledBackend: 'ca', backends: [{ name: 'ca', type: 'builtin' }] } },
  timeout('slow'),
  timeout('other', { mesh: 'shop', labels: { team: 'a' } }),
  dataplane('web-1', { 'kuma.io/service': 'web', version: 'v1' }),
  dataplane('web-2', { 'kuma.io/service': 'web', version: 'v2' }, { state: 'NotReady' }),
  {
    type: 'MeshGateway',
    mesh: 'default',
    name: 'edge',
    selectors: service('edge'),
    conf: {
      listeners: [
        { port: 80, protocol: 'HTTP', hostname: 'shop.example' },
        { port: 8080, protocol: 'HTTP' },
      ],
    },
  },
  {
    type: 'MeshGatewayRoute',
    mesh: 'default',
    name: 'edge-route',
    selectors: service('edge'),
    conf: {
      http: {
        hostnames: ['shop.example'],
        rules: [
          {
            matches: [{ path: { match: 'PREFIX', value: '/cart' } }],
            backends: [
              { weight: 9, destination: { 'kuma.io/service': 'cart' } },
              { weight: 1, destination: { 'kuma.io/service': 'cart', version: 'v2' } },
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
  {
    type: 'MeshTrafficPermission',
    mesh: 'default',
    name: 'allow',
    spec: { from: [{ targetRef: { kind: 'MeshSubset', tags: { team: 'a' } }, default: { action: 'Allow' } }] },
  },
]

test.each([
  ['meshes', ['NAME|MTLS|EGRESS|CHANGED', 'default|off|direct', 'shop|ca (builtin, strict)|direct']],
  [
    'dataplanes',
    [
      'MESH|NAME|SERVICE|ADDRESS|ZONE|READY|STATUS|SINCE|VERSION|CHANGED',
      'default|web-1|web|10.0.0.1:8080|home|1/1|unknown|-|-',
      'default|web-2|web|10.0.0.1:8080|home|0/1|unknown|-|-',
    ],
  ],
  ['meshgateways', ['MESH|NAME|GATEWAY|LISTENERS|CHANGED', 'default|edge|edge|shop.example:80/HTTP, *:8080/HTTP']],
  [
    'meshgatewayroutes',
    [
      'MESH|NAME|GATEWAY|HOSTNAMES|ROUTES|CHANGED',
      'default|edge-route|edge|shop.example|/cart* → cart, cart,version=v2; GET /old → (redirect)',
    ],
  ],
  ['timeouts', ['MESH|NAME|SOURCES|DESTINATIONS|CONF|CHANGED', 'default|slow|*|web|connectTimeout=1s']],
  ['meshtrafficpermissions', ['MESH|NAME|TARGET|FROM|CHANGED', 'default|allow|Mesh|MeshSubset team=a: Allow']],
] as const)('B50 get shows the columns that matter for a kind: %s', async (word, expected) => {
  await write(...scene)
  const { code, printed } = await rig.run(get, word)
  expect(code).toBe(0)
  // The last cell of a row is its age.
  expect(
    printed.map((line, index) =>
      cells(line)
        .slice(0, index === 0 ? undefined : -1)
        .join('|'),
    ),
  ).toEqual(expected)
})

test('B50 the wide form adds labels, tags and the spec, and a name with a form shows one row', async () => {
  await write(...scene)
  const { printed } = await rig.run(get, 'dataplane/web-1', '-o', 'wide')
  expect(cells(printed[0]).slice(-4)).toEqual(['ENVOY', 'CHANGED', 'LABELS', 'SPEC'])
  expect(printed).toHaveLength(2)
  expect(printed[1]).toMatch(/sidecar +web,kuma\.io\/zone=home,version=v1 .*kuma\.io\/mesh=default,.*\{"networking":/)
})

test('B51 get lists all meshes with -A, and only resources with the labels or tags of -l', async () => {
  await write(...scene)
  const names = async (...args: string[]) => (await rig.run(get, ...args, '-o', 'name')).printed
  expect(await names('timeouts')).toEqual(['timeout/slow'])
  expect(await names('timeouts', '-A')).toEqual(['timeout/slow', 'timeout/other'])
  expect(await names('timeouts', '-A', '-l', 'team=a')).toEqual(['timeout/other'])
  expect(await names('timeouts', '-A', '-l', 'team=b')).toEqual([])
  expect(await names('dataplanes', '-l', 'kuma.io/service=web,version=v2')).toEqual(['dataplane/web-2'])
  expect(await names('dataplanes', '-l', 'kuma.io/zone=home,version=v1')).toEqual(['dataplane/web-1'])
  expect(await names('dataplanes', '-l', 'version=v')).toEqual([])
  expect((await rig.run(get, 'retries', '-A')).printed.at(-1)).toBe('no retries')
})

test.each([
  ['a selector', ['timeouts', '-l', 'team'], /^--selector: expected KEY=VALUE\[,KEY=VALUE\], found "team"/],
  ['both scopes', ['timeouts', '-A', '--mesh', 'x'], /expected --mesh or --all-meshes, found both/],
  ['a name in all meshes', ['timeout', 'x', '-A'], /expected --mesh with a name/],
  ['a path', ['timeouts', '-o', 'jsonpath={.items[}'], /the path "\.items\[" cannot be read/],
  ['a brace', ['timeouts', '-o', 'jsonpath={.items'], /"\{" without its counterpart/],
  ['an end', ['timeouts', '-o', 'jsonpath={end}'], /\{end\} without \{range/],
  ['a range', ['timeouts', '-o', 'jsonpath={range .items[*]}x'], /\{range …\} without \{end\}/],
  ['a form', ['timeouts', '-o', 'xml'], /expected table, wide, name, yaml, json or jsonpath=TEMPLATE, found "xml"/],
  ['a name', ['timeout', 'slwo'], /^no Timeout "slwo" in mesh "default" at http:\S+; did you mean "slow"\?$/],
  ['a mesh', ['timeout', 'slow', '-m', 'none'], /^there is no mesh "none" at/],
] as const)('B51 get explains wrong usage in one sentence: %s', async (_title, args, message) => {
  await write(...scene)
  await expect(rig.run(get, ...args)).rejects.toThrow(message)
})

test.each([
  ['{.items[*].name}', 'web-1 web-2'],
  ['.items[0].name', 'web-1'],
  ['{range .items[*]}{.mesh}{"/"}{.name}{"\\n"}{end}', 'default/web-1\ndefault/web-2'],
  ["{.items[?(@.name=='web-2')].networking.address}", '10.0.0.1'],
  ['{.items[*].labels.kuma\\.io/zone}', 'home home'],
  ["{.items[0].labels['kuma.io/mesh']}", 'default'],
  ['{..port}', '8080 8080'],
  ['{.items[0].networking.inbound[0].tags}', '{"kuma.io/service":"web","version":"v1","kuma.io/zone":"home"}'],
  ['name: {.items[1].name}!', 'name: web-2!'],
  ['{.nothing}', ''],
] as const)('B52 get -o jsonpath prints the values of a template as kubectl does: %s', async (template, expected) => {
  await write(...scene)
  expect((await rig.run(get, 'dataplanes', '-o', `jsonpath=${template}`)).text).toBe(expected)
})

test('B52 a jsonpath runs no code of its text', async () => {
  await write(...scene)
  for (const path of ['{.items[?(process.exit(3))]}', '{.items[(1+1)]}', "{.items[?(@.constructor('x'))]}"])
    await expect(rig.run(get, 'dataplanes', '-o', `jsonpath=${path}`)).rejects.toThrow(/cannot be read/)
})
