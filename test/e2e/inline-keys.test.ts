import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { freePorts } from '@zonemesh/cli/scene/ports.ts'
import { createProcesses, type Processes } from '@zonemesh/cli/scene/processes.ts'
import { decodeJoin } from '@zonemesh/shared/auth/join.ts'
import { systemClock } from '@zonemesh/shared/env/clock.ts'
import { silentLog } from '@zonemesh/shared/env/log.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import { openSqliteStore } from '@zonemesh/shared/store/sqlite.ts'
import { syncPath } from '@zonemesh/shared/sync/handshake.ts'
import { decodeMessage, encodeMessage } from '@zonemesh/shared/sync/log/frames.ts'
import { dialGrpc } from '@zonemesh/shared/transport/grpc.ts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createPair, type Pair } from '../../packages/plane/test/pki.ts'
import { api, type Folder, local, statusOf, temporaryFolder, until, zonemesh } from './rig.ts'

let folder: Folder
let processes: Processes
let [address, zoneAddress] = ['', '']
let authority: Pair
let listener: Pair
let globalArgs: string[] = []
const path = (name: string): string => join(folder.path, name)
const anyPorts = ['--host', local, '--api-tls-port', '0', '--health-port', '0']

const mesh = () => ({
  type: 'Mesh',
  name: 'default',
  mtls: {
    enabledBackend: 'own',
    backends: [
      {
        name: 'own',
        type: 'provided',
        conf: { cert: { inlineString: authority.certificate }, key: { inline: btoa(authority.key) } },
      },
    ],
  },
})
const gateway = (name: string, pair: Pair) => ({
  type: 'MeshGateway',
  mesh: 'default',
  name,
  selectors: [{ match: { 'kuma.io/service': name } }],
  conf: {
    listeners: [
      {
        port: 8443,
        protocol: 'HTTPS',
        hostname: 'shop.example.test',
        tls: { mode: 'TERMINATE', certificates: [{ inlineString: pair.certificate + pair.key }] },
      },
    ],
  },
})

/** A part of a key in each form in which it may be stored. */
function formsOf({ key }: Pair): string[] {
  const body = key.split('\n').filter((line) => line !== '' && !line.startsWith('-----'))
  const whole = Buffer.from(body.join(''), 'base64')
  const texts = [
    body[1] ?? '',
    Buffer.from(key).toString('base64').slice(60, 120),
    whole.toString('hex').slice(60, 120),
  ]
  return [...texts, whole.subarray(20, 50).toString('latin1')]
}
const found = (where: string, text: string): string[] =>
  [authority, listener].flatMap((pair, index) =>
    formsOf(pair).flatMap((form, at) => (text.includes(form) ? [`key ${index} in form ${at} in ${where}`] : [])),
  )

function filesBelow(at: string): string[] {
  return readdirSync(at).flatMap((name) =>
    statSync(join(at, name)).isDirectory() ? filesBelow(join(at, name)) : [join(at, name)],
  )
}

beforeAll(async () => {
  folder = temporaryFolder()
  processes = createProcesses(folder.path)
  authority = await createPair({ authority: {} })
  listener = await createPair({ names: ['shop.example.test'] })
  const [apiPort = 0, sync = 0, zonePort = 0] = await freePorts(systemRandom, 3)
  ;[address, zoneAddress] = [`http://${local}:${apiPort}`, `http://${local}:${zonePort}`]
  globalArgs = ['global', '--data-dir', path('global'), '--log-level', 'debug', ...anyPorts]
  globalArgs.push('--api-port', `${apiPort}`, '--sync-port', `${sync}`)
  processes.startOwn('global', globalArgs)
  await untilUp()
  const { stdout } = await zonemesh('token', 'zone', 'east', '--address', address)
  const joinFile = folder.file('east.join', stdout)
  const zoneArgs = ['zone', '--join-file', joinFile, '--data-dir', path('east'), '--log-level', 'debug', ...anyPorts]
  processes.startOwn('zone-east', [...zoneArgs, '--api-port', `${zonePort}`, '--proxy-port', '0', '--dns-port', '0'])
})
afterAll(async () => {
  await processes.stop()
  folder[Symbol.dispose]()
})

const untilUp = () =>
  until(
    'the global answers',
    () => api(address).call('GET', '/'),
    ({ status }) => status === 200,
  )
const untilCurrent = () =>
  until(
    'east is current',
    () => statusOf(address),
    ({ zones }) => zones.some(({ zone, current }) => zone === 'east' && current),
  )

/** A response that must not be an error, because errors contain no keys. */
async function textOf(from: string, path: string): Promise<string> {
  const { status, text } = await api(from).call('GET', path)
  expect([path, status]).toEqual([path, 200])
  return text
}

/** Everything that a regular zone is sent. */
async function captured(): Promise<string> {
  const { stdout } = await zonemesh('token', 'zone', 'tap', '--address', address)
  const joined = decodeJoin(stdout)
  if (!joined.ok) throw new Error(joined.error)
  const { address: to, token, pin } = joined.value
  const dialer = dialGrpc({ address: to.replace('https://', ''), path: syncPath, token, pinSha256Hex: pin })
  const dialled = await dialer.dial(AbortSignal.timeout(10_000))
  if (!dialled.ok) throw new Error(dialled.error.reason)
  const channel = dialled.value
  let text = ''
  const marked = new Promise<void>((resolve) => {
    channel.onMessage((bytes) => {
      text += Buffer.from(bytes).toString('latin1')
      if (decodeMessage(bytes)?.type === 'mark') resolve()
    })
  })
  channel.send(
    encodeMessage({
      type: 'hello',
      hello: {
        ...{
          protocol: { min: 1, max: 1, features: [] },
          storeId: 'tap',
          incarnation: 1,
          host: 'tap',
          startedAtMs: 0,
          version: 'test',
        },
        ...{ position: undefined, creditBytes: 10_000_000, replica: 'tap', uncovered: [] },
      },
    }),
  )
  await marked
  channel.end()
  channel[Symbol.dispose]()
  return text
}

test('V21 an inline private key is sealed at admission, and no response, history, diff, log, store or connection contains it', async () => {
  await api(address).need('PUT', '/meshes/default', mesh())
  await api(address).need('PUT', '/meshes/default/meshgateways/edge', gateway('edge', listener))
  // The same resource is written again by another way of the API.
  const again = await api(address).need('POST', '/_commit', { documents: [mesh(), gateway('edge', listener)] })
  const { outcomes } = again.json as { outcomes: { outcome: string }[] }
  expect(outcomes.map(({ outcome }) => outcome)).toEqual(['unchanged', 'unchanged'])
  await untilCurrent()
  await until(
    'the zone has the certificate of the listener',
    () => readFileSync(path('east/store.db-wal'), 'latin1') + readFileSync(path('east/store.db'), 'latin1'),
    (text) => text.includes('GatewayCertificate'),
  )
  const read = ['/meshes', '/meshes/default', '/meshgateways', '/meshes/default/meshgateways/edge', '/_status']
  const history = [
    '/_history?all=true',
    '/_history?kind=MeshGateway&name=edge&mesh=default',
    '/_diff?from=@1&to=@head',
    '/_sight',
  ]
  const texts: [string, string][] = [['the wire', await captured()]]
  for (const [from, own] of [
    [address, [...read, ...history, '/_sight']],
    [zoneAddress, [...read, '/_sight', '/_rows']],
  ] as const)
    for (const one of own) texts.push([from + one, await textOf(from, one)])
  for (const args of [['history'], ['diff', '@1'], ['get', 'meshgateway', 'edge', '-o', 'json']])
    texts.push([args.join(' '), (await zonemesh(...args, '--address', address)).stdout])
  for (const file of filesBelow(folder.path)) texts.push([file, readFileSync(file, 'latin1')])
  expect(texts.flatMap(([where, text]) => found(where, text))).toEqual([])
  expect((await api(address).need('GET', '/meshes/default')).text).toMatch(/"secret": "inline-[0-9a-f]{16}"/)
})

test('V21 a document that was read back can be written again, and a rollback restores the key', async () => {
  const at = '/meshes/default/meshgateways/edge'
  const shown = (await api(address).need('GET', at)).json
  expect((await api(address).need('PUT', at, shown)).status).toBe(200)
  const other = await createPair({ names: ['shop.example.test'] })
  await api(address).need('PUT', at, gateway('edge', other))
  await api(address).need('POST', '/_rollback', { to: '@-1', kind: 'MeshGateway', name: 'edge', mesh: 'default' })
  expect((await api(address).need('GET', at)).json).toMatchObject({ conf: Reflect.get(Object(shown), 'conf') })
})

test('V21 rows of a plane that did not seal inline keys are rewritten at the start', async () => {
  await processes.kill('global', 'SIGTERM')
  const env = { clock: systemClock, random: systemRandom, log: silentLog }
  const store = await openSqliteStore(env, { path: path('global/store.db'), horizonRevisions: 1_000 })
  const old = gateway('old', listener)
  const { type: _type, mesh: _mesh, name: _name, ...spec } = old
  const key = { origin: 'global', kind: 'MeshGateway', mesh: 'default', name: 'old' }
  await store.commit({
    changes: [{ op: 'put', key, labels: {}, spec }],
    subject: 'a plane of before',
    intent: 'an inline key',
  })
  await store.close()
  processes.startOwn('global', globalArgs)
  await untilUp()
  const now = await api(address).need('GET', '/meshes/default/meshgateways/old')
  expect(now.text).toMatch(/"secret": "inline-[0-9a-f]{16}"/)
  await untilCurrent()
  const texts: [string, string][] = [['the wire', await captured()]]
  for (const one of [
    '/_history?all=true',
    '/_history?kind=MeshGateway&name=old&mesh=default',
    '/_diff?from=@1&to=@head',
  ])
    texts.push([one, (await api(address).need('GET', one)).text])
  expect(texts.flatMap(([where, text]) => found(where, text))).toEqual([])
})
