import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { mkdirSync, readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { freePorts } from '@zonemesh/cli/scene/ports.ts'
import { createProcesses, type Processes } from '@zonemesh/cli/scene/processes.ts'
import { decodeJoin, encodeJoin, type Join } from '@zonemesh/shared/auth/join.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  api,
  type Folder,
  local,
  type Outcome,
  statusOf,
  temporaryFolder,
  until,
  untilLogged,
  zonemesh,
} from './rig.ts'

let folder: Folder
let processes: Processes
let globalAddress = ''
let zoneAddress = ''
let zoneProxyAddress = ''
let dataplaneToken = ''
const joins: Record<string, Join> = {}

const anyPorts = ['--host', local, '--api-port', '0', '--api-tls-port', '0', '--health-port', '0']
const anyZonePorts = [...anyPorts, '--proxy-port', '0', '--dns-port', '0']
const path = (name: string): string => join(folder.path, name)

async function joinOf(zone: string): Promise<Join> {
  const { stdout } = await zonemesh('token', 'zone', zone, '--address', globalAddress)
  const decoded = decodeJoin(stdout)
  if (!decoded.ok) throw new Error(decoded.error)
  return decoded.value
}

/** Starts a zone control plane and returns its log. */
const startZone = (name: string, given: Join, dataDir: string): string =>
  processes.startOwn(name, [
    'zone',
    ...['--join-file', folder.file(`${name}.join`, encodeJoin(given)), '--data-dir', path(dataDir)],
    ...anyZonePorts,
  ]).logFile

beforeAll(async () => {
  folder = temporaryFolder()
  processes = createProcesses(folder.path)
  const [apiPort = 0, sync = 0, zonePort = 0, proxyPort = 0] = await freePorts(systemRandom, 4)
  globalAddress = `http://${local}:${apiPort}`
  zoneAddress = `http://${local}:${zonePort}`
  zoneProxyAddress = `https://${local}:${proxyPort}`
  processes.startOwn('global', [
    'global',
    ...['--data-dir', path('global'), ...anyPorts, '--api-port', `${apiPort}`, '--sync-port', `${sync}`],
  ])
  await until(
    'the global answers',
    () => api(globalAddress).call('GET', '/'),
    ({ status }) => status === 200,
  )
  for (const zone of ['east', 'west', 'north']) joins[zone] = await joinOf(zone)
  processes.startOwn('zone-east', [
    'zone',
    ...['--join-file', folder.file('east.join', encodeJoin(joined('east'))), '--data-dir', path('east')],
    ...[...anyZonePorts, '--api-port', `${zonePort}`, '--proxy-port', `${proxyPort}`],
  ])
  await until(
    'east is current',
    () => statusOf(globalAddress),
    ({ zones }) => zones.some(({ zone, current }) => zone === 'east' && current),
  )
  dataplaneToken = folder.file(
    'dataplane.token',
    (await zonemesh('token', 'dataplane', '--address', globalAddress)).stdout,
  )
})
afterAll(async () => {
  await processes.stop()
  folder[Symbol.dispose]()
})

function joined(zone: string): Join {
  const known = joins[zone]
  if (!known) throw new Error(`no join for ${zone}`)
  return known
}

/** One line on stderr, regardless of the log on stdout; exit code 1. */
function expectOneLine(outcome: Outcome, line: RegExp): void {
  expect(outcome.stderr).toMatch(line)
  expect(outcome.stderr.trim().split('\n')).toHaveLength(1)
  expect(outcome.code).toBe(1)
}

/** Checks that a zone that keeps trying logs this message only once. */
async function expectRetryLine(log: string, message: RegExp): Promise<void> {
  const text = await untilLogged(log, message)
  const lines = text.split('\n').filter((line) => message.test(line))
  expect(lines.length).toBe(1)
  expect(lines[0]).toContain('"waitMs"')
}

const foreignSignature = (token: string): string => `${token.slice(0, token.lastIndexOf('.'))}.${'A'.repeat(342)}`

test('E10 a zone that the global refuses reports the reason in one line and waits', async () => {
  const north = joined('north')
  const wrong = startZone('wrong-token', { ...north, token: foreignSignature(north.token) }, 'wrong-token')
  await expectRetryLine(wrong, /the global and this zone do not agree: the token was not signed by this control plane/)

  const reply = await api(globalAddress).need('POST', '/tokens/zone', { zone: 'north', scope: ['cp'], validFor: '1ms' })
  const expired = startZone('expired-token', { ...north, token: reply.text.trim() }, 'expired-token')
  await expectRetryLine(expired, /the global and this zone do not agree: .*expired/)

  const pin = startZone('wrong-pin', { ...north, pin: 'a'.repeat(64) }, 'wrong-pin')
  await expectRetryLine(pin, /the global and this zone do not agree: .*(pin|authority|certificate)/)

  const scoped = await api(globalAddress).need('POST', '/tokens/zone', { zone: 'north', scope: ['ingress'] })
  const scope = startZone('wrong-scope', { ...north, token: scoped.text.trim() }, 'wrong-scope')
  await expectRetryLine(scope, /the token's scope is ingress, expected cp/)

  const [closed = 0] = await freePorts(systemRandom, 1)
  const nobody = startZone('nobody', { ...north, address: `https://${local}:${closed}` }, 'nobody')
  await expectRetryLine(nobody, /no session with the global: .*ECONNREFUSED/)
  for (const name of ['wrong-token', 'expired-token', 'wrong-pin', 'wrong-scope', 'nobody'])
    await processes.kill(name, 'SIGTERM')
})

test('E11 a zone has one control plane: a second one is refused by name, and the first continues', async () => {
  const log = startZone('twin', joined('east'), 'twin')
  await expectRetryLine(
    log,
    /the global and this zone do not agree: another control plane runs as this zone: \S+, started .*, with another store/,
  )
  expect((await statusOf(zoneAddress)).uplink.phase).toBe('connected')
  await processes.kill('twin', 'SIGTERM')

  const same = await zonemesh('zone', '--join-file', path('east.join'), '--data-dir', path('east'), ...anyZonePorts)
  expectOneLine(same, /cannot open store .*east\/store\.db: .*locked by another process/)
})

test('E12 a zone does not take over the store of another zone', async () => {
  const again = await processes.kill('zone-east', 'SIGTERM')
  const outcome = await zonemesh(
    ...['zone', '--join-file', folder.file('west.join', encodeJoin(joined('west')))],
    ...['--data-dir', path('east'), ...anyZonePorts],
  )
  again()
  expectOneLine(outcome, /expected a store of zone "west" in \S+east, found the store of zone "east"/)
  await until(
    'east is back',
    () => statusOf(zoneAddress),
    ({ uplink }) => uplink.phase === 'connected',
  )
})

test('Z33 a zone dials the addresses of its join string in turn until its global answers', async () => {
  const [closed = 0] = await freePorts(systemRandom, 1)
  const { address, ...rest } = await joinOf('south')
  // At the second address another server shows another certificate.
  const given = { ...rest, address: `https://${local}:${closed}`, otherAddresses: [zoneProxyAddress, address] }
  startZone('zone-south', given, 'south')
  await until(
    'south is current',
    () => statusOf(globalAddress),
    ({ zones }) => zones.some(({ zone, current }) => zone === 'south' && current),
  )
  await processes.kill('zone-south', 'SIGTERM')
})

test('B20 a join string for a proxy of a joined zone is made on the zone, which asks the global for the token', async () => {
  const made = await zonemesh('token', 'dataplane', '--join', '--address', zoneAddress)
  const join = decodeJoin(made.stdout)
  expect(join).toMatchObject({ ok: true, value: { address: zoneProxyAddress } })
  expect(made.stderr).toContain('the zone listens on 127.0.0.1; start it with --host 0.0.0.0 (or give --join-address)')
  // The zone accepts the pin and the token, and refuses only the mesh.
  const file = folder.file('web.yaml', dataplaneYaml)
  const variables = ['--dataplane-var', 'mesh=nowhere', '--dataplane-var', 'port=8080']
  for (const given of [made.stdout.trim(), folder.file('web.join', made.stdout)])
    expectOneLine(
      await zonemesh('dataplane', '--dataplane-file', file, ...variables, '--join', given, '--work-dir', path('web')),
      /mesh "nowhere" does not exist/,
    )
  const noMesh = await zonemesh('token', 'dataplane', '--mesh', 'nowhere', '--address', zoneAddress)
  expect(noMesh.stderr).toContain('the global control plane refuses the token: there is no mesh "nowhere"')
  const noZone = await zonemesh('token', 'dataplane', '--join', '--address', globalAddress)
  expect(noZone.code).toBe(2)
  expect(noZone.stderr).toContain('is not a zone control plane (proxies join it); give --zone-address')
})

test('R51 a zone that is joined to a global refers to the API of the global', async () => {
  const mesh = await api(zoneAddress).call('PUT', '/meshes/shop', { type: 'Mesh', name: 'shop' })
  expect([mesh.status, mesh.json]).toMatchObject([
    ...[405, { detail: `Mesh resources belong to the global control plane: write them to its API (${globalHost})` }],
  ])
  for (const [method, path, body, status] of [
    ['DELETE', '/meshes/default', undefined, 405],
    ['POST', '/zones/west/_forget', undefined, 405],
    ['POST', '/tokens/zone', { zone: 'west', scope: ['cp'] }, 400],
  ] as const) {
    const answer = await api(zoneAddress).call(method, path, body)
    expect([answer.status, answer.text]).toEqual([status, expect.stringContaining(globalHost)])
  }
})

test('E51 a port in use is reported with its option, the process that holds it, and what to do, for every listener', async () => {
  const [taken = 0, other = 0] = await freePorts(systemRandom, 2)
  const server = createServer().listen(taken, local)
  await once(server, 'listening')
  const holder = 'the port is in use by node \\(pid ' + process.pid + '\\)'
  const expectHeld = async (option: string, port: number, args: readonly string[]) => {
    const variable = `ZONEMESH_${option.slice(2).replaceAll('-', '_').toUpperCase()}`
    const what = `cannot listen on ${local}:${port} for .+: ${holder}; choose another with ${option} N \\(${variable}\\)`
    expectOneLine(
      await zonemesh(...args, option, `${port}`),
      new RegExp(`${what}, or stop pid ${process.pid} \\(node\\)`),
    )
  }
  const global = ['global', '--data-dir', path('other'), ...anyPorts, '--sync-port', '0']
  for (const option of ['--api-port', '--sync-port', '--health-port', '--api-tls-port'])
    await expectHeld(option, taken, global)
  const zone = ['zone', '--name', 'home', '--data-dir', path('other'), ...anyZonePorts]
  for (const option of ['--proxy-port', '--dns-port', '--health-port']) await expectHeld(option, taken, zone)
  // The resolver listens on TCP and UDP.
  const udp = createSocket('udp4').bind(other, local)
  await once(udp, 'listening')
  await expectHeld('--dns-port', other, zone)
  const twice = await zonemesh(...zone, '--api-port', `${other}`, '--health-port', `${other}`)
  expectOneLine(twice, /this process already uses the port; choose another with --health-port N/)
  const many = await zonemesh(...zone, '--api-port', `${taken}`, '--dns-port', `${other}`, '--proxy-port', `${taken}`)
  expect(many.code).toBe(1)
  expect(many.stderr.trim().split('\n')).toEqual([
    'zonemesh zone: 3 ports are taken:',
    ...['--api-port', '--proxy-port', '--dns-port'].map((option) =>
      expect.stringMatching(new RegExp(`^  cannot listen on .*; choose another with ${option} N .*, or stop pid `)),
    ),
  ])
  server.close()
  udp.close()
})

test('E13 a control plane without a required resource reports it in one line and exits with 1', async () => {
  const text = 'this is not a database, and longer than the first page of one would have to be\n'.repeat(100)
  folder.file('store.db', text)
  const foreign = await zonemesh('global', '--data-dir', folder.path, ...anyPorts, '--sync-port', '0')
  expectOneLine(foreign, /store\.db: expected a Zonemesh store, found a file that is not a database/)
  expect(readFileSync(path('store.db'), 'utf8')).toBe(text)

  const file = folder.file('a-file', '')
  mkdirSync(path('held/store.db'), { recursive: true })
  for (const [folderOfStore, line] of [
    [file, /a-file/],
    [path('held'), /cannot open store \S+held\/store\.db: expected a/],
    ['/proc/zonemesh', /cannot create the data folder \/proc\/zonemesh: /],
  ] as const) {
    expectOneLine(await zonemesh('global', '--data-dir', folderOfStore, ...anyPorts, '--sync-port', '0'), line)
  }
})

const globalHost = `host ${local}, port 5681 by default`

const dataplaneYaml = `type: Dataplane
mesh: {{mesh}}
name: web
networking:
  address: 127.0.0.1
  inbound:
    - port: {{port}}
      tags: { kuma.io/service: web }
`

test('E14 a proxy that the zone refuses, or whose file is invalid, ends with one line', async () => {
  const [port = 0] = await freePorts(systemRandom, 1)
  const file = folder.file('web.yaml', dataplaneYaml)
  const caFile = path('east/ca.crt')
  const run = (yaml: string, token: string, ca: string, mesh: string, ...rest: readonly string[]) =>
    zonemesh(
      ...['dataplane', '--dataplane-file', yaml, '--dataplane-var', `mesh=${mesh}`, '--cp-address', zoneProxyAddress],
      ...['--token-file', token, '--ca-cert-file', ca, '--work-dir', path('web'), ...rest],
    )
  const given = ['--dataplane-var', `port=${port}`]

  const token = readFileSync(dataplaneToken, 'utf8').trim()
  const wrongToken = folder.file('wrong.token', foreignSignature(token))
  expectOneLine(
    await run(file, wrongToken, caFile, 'default', ...given),
    /refuses this proxy \(422\): the token was not signed by this control plane/,
  )
  expectOneLine(await run(file, dataplaneToken, caFile, 'nowhere', ...given), /mesh "nowhere" does not exist/)
  expectOneLine(await run(file, dataplaneToken, caFile, 'default'), /uses variables without a value: port; set them/)
  const unknown = folder.file('unknown.yaml', dataplaneYaml.replace('address:', 'adress:'))
  expectOneLine(await run(unknown, dataplaneToken, caFile, 'default', ...given), /networking\.adress/)
  const broken = folder.file('broken.yaml', 'type: [')
  expectOneLine(await run(broken, dataplaneToken, caFile, 'default'), /the resource is not YAML/)
  expectOneLine(await run(path('none.yaml'), dataplaneToken, caFile, 'default'), /cannot read .*none\.yaml/)
})

test('E15 a proxy that does not trust the zone reports what it waits for', async () => {
  const [port = 0] = await freePorts(systemRandom, 1)
  const { logFile } = processes.startOwn('distrustful', [
    ...['dataplane', '--dataplane-file', folder.file('web.yaml', dataplaneYaml), '--cp-address', zoneProxyAddress],
    ...['--dataplane-var', 'mesh=default', '--dataplane-var', `port=${port}`, '--token-file', dataplaneToken],
    ...['--ca-cert-file', path('global/ca.crt'), '--work-dir', path('distrustful')],
  ])
  const text = await untilLogged(logFile, /cannot fetch the bootstrap; trying again/)
  expect(text).toMatch(/cannot reach the zone at 127\.0\.0\.1:\d+: .*certificate/)
  expect(text).toMatch(/expected a certificate for the address 127\.0\.0\.1 .*, found .*SHA-256 .*with --ca-cert-file/)
  await processes.kill('distrustful', 'SIGTERM')
})
