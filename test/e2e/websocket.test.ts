import { accessSync, constants, readFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { nodeFlags } from '@zonemesh/cli/base/node-flags.ts'
import { freePorts } from '@zonemesh/cli/scene/ports.ts'
import { createProcesses, type Processes } from '@zonemesh/cli/scene/processes.ts'
import { createRoot, createServerCertificate, lifetime } from '@zonemesh/plane/authority/x509.ts'
import { decodeJoin, encodeJoin, type Join } from '@zonemesh/shared/auth/join.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { api, type Folder, local, root, run, statusOf, temporaryFolder, until, untilLogged, zonemesh } from './rig.ts'

/**
 * A real nginx that terminates TLS in front of a global: the network between a zone and its global passes only HTTP.
 */
function findNginx(): string {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin']
  const found = folders.map((folder) => join(folder, 'nginx')).find(isExecutable)
  if (found) return found
  throw new Error('this test needs nginx on PATH, found none: install it, e.g. with `apt-get install nginx-light`')
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

let nginx: string
let folder: Folder
let processes: Processes
let configFile: string
let globalAddress = ''
let zoneAddress = ''
let given: Join
let tlsPort = 0
let environment: NodeJS.ProcessEnv

const anyPorts = ['--host', local, '--health-port', '0']
const path = (name: string): string => join(folder.path, name)

function nginxConfig(port: number, plainPort: number, apiPort: number): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
  return `${process.getuid?.() === 0 ? 'user root;' : ''}
worker_processes 1;
pid ${path('nginx.pid')};
error_log ${path('nginx-error.log')};
# A reload ends the connections of the old worker, as it does where workers may not stay for ever.
worker_shutdown_timeout 200ms;
events { worker_connections 64; }
http {
  ${temporary.map((kind) => `${kind}_temp_path ${path(`nginx-${kind}`)};`).join('\n  ')}
  log_format bytes '$status $bytes_sent';
  access_log ${path('nginx-access.log')} bytes;
  server {
    listen ${local}:${port} ssl;
    listen ${local}:${plainPort};
    ssl_certificate ${path('nginx.crt')};
    ssl_certificate_key ${path('nginx.key')};
    location /_sync {
      proxy_pass http://${local}:${apiPort};
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection upgrade;
      # Above the 2 s of a bookmark, and far below the default: an idle session is not silent.
      proxy_read_timeout 3s;
    }
  }
}
`
}

const startZone = (name: string, joined: Join, ...rest: readonly string[]) =>
  processes.start(
    name,
    process.execPath,
    [
      ...[...nodeFlags, join(root, 'packages/cli/src/main.ts'), 'zone'],
      ...['--join-file', folder.file(`${name}.join`, encodeJoin(joined)), '--data-dir', path(name), ...anyPorts],
      ...['--api-tls-port', '0', '--proxy-port', '0', '--dns-port', '0', ...rest],
    ],
    environment,
  )

beforeAll(async () => {
  nginx = findNginx()
  folder = temporaryFolder()
  processes = createProcesses(folder.path)
  const ports = await freePorts(systemRandom, 6)
  const [apiPort = 0, apiTlsPort = 0, zonePort = 0, sslPort = 0, plainPort = 0, syncPort = 0] = ports
  tlsPort = sslPort
  globalAddress = `http://${local}:${apiPort}`
  zoneAddress = `http://${local}:${zonePort}`
  const authority = await createRoot('the authority of nginx', lifetime(Date.now(), 1))
  const server = await createServerCertificate(authority, [local], lifetime(Date.now(), 1))
  folder.file('nginx.crt', server.certificate)
  folder.file('nginx.key', server.key)
  environment = { ...process.env, NODE_EXTRA_CA_CERTS: folder.file('nginx-ca.crt', authority.certificate) }
  configFile = folder.file('nginx.conf', nginxConfig(sslPort, plainPort, apiPort))
  processes.startOwn('global', [
    ...['global', '--data-dir', path('global'), ...anyPorts, '--sync-port', `${syncPort}`],
    ...['--api-port', `${apiPort}`, '--api-tls-port', `${apiTlsPort}`],
  ])
  processes.start('nginx', nginx, ['-c', configFile, '-g', 'daemon off;'])
  await until(
    'the global answers',
    () => api(globalAddress).call('GET', '/'),
    ({ status }) => status === 200,
  )
  for (let number = 0; number < 120; number += 1) await putMesh(`first-${number}`)
  const address = `wss://${local}:${sslPort}?tls=system`
  given = await joinOf('east', '--join-address', address)
  startZone('zone-east', given, '--api-port', `${zonePort}`)
  await untilCurrent()
})
afterAll(async () => {
  await processes?.stop()
  folder?.[Symbol.dispose]()
})

async function joinOf(zone: string, ...rest: readonly string[]): Promise<Join> {
  const { stdout, stderr } = await zonemesh('token', 'zone', zone, '--address', globalAddress, ...rest)
  const decoded = decodeJoin(stdout)
  if (!decoded.ok) throw new Error(`${decoded.error}: ${stderr}`)
  return decoded.value
}

const putMesh = (name: string) => api(globalAddress).need('PUT', `/meshes/${name}`, { type: 'Mesh', name })

/** The status of the zone at the global, once it is current in a session newer than `after`. */
async function untilCurrent(zone = 'east', after = 0) {
  const { zones } = await until(
    `${zone} is current`,
    () => statusOf(globalAddress),
    (status) => status.zones.some((one) => one.zone === zone && one.current && one.epoch > after),
  )
  return zones.find((one) => one.zone === zone)?.epoch ?? 0
}

/** A change on the global reaches the zone. */
async function expectChangeArrives(name: string): Promise<void> {
  await putMesh(name)
  await until(
    `${name} is in the zone`,
    () => api(zoneAddress).call('GET', `/meshes/${name}`),
    ({ status }) => status === 200,
  )
}

/** The bytes that nginx sent to each client whose session has ended. */
const sessions = (): number[] =>
  readFileSync(path('nginx-access.log'), 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('101 '))
    .map((line) => Number(line.split(' ')[1]))

async function reload(): Promise<void> {
  const outcome = await run(nginx, ['-c', configFile, '-s', 'reload'])
  expect(outcome.code, outcome.stderr).toBe(0)
}

test('W1 a zone joins through an nginx that terminates TLS, and an idle session outlives its read timeout', async () => {
  await expectChangeArrives('through-nginx')
  const epoch = await untilCurrent()
  const startMs = performance.now()
  // Twice the read timeout of nginx with bookmarks alone.
  await until(
    'twice the read timeout has passed',
    () => performance.now() - startMs,
    (passedMs) => passedMs > 6_000,
  )
  expect(await untilCurrent()).toBe(epoch)
})

test('W2 after a reload of nginx the zone resumes at its position, and almost nothing is sent again', async () => {
  const before = await untilCurrent()
  await reload()
  const resumed = await untilCurrent('east', before)
  await expectChangeArrives('after-reload')
  await reload()
  await untilCurrent('east', resumed)
  const [first = 0, second = 0] = await until('nginx has told of both sessions', sessions, (all) => all.length === 2)
  expect(second).toBeLessThan(first / 3)
})

test('W3 after nginx is killed and started, the zone reconnects and changes arrive', async () => {
  const before = await untilCurrent()
  const { pid } = processes.get('nginx') ?? { pid: 0 }
  const gone = processes.kill('nginx', 'SIGKILL')
  // The worker of nginx would survive its master.
  process.kill(-pid, 'SIGKILL')
  const again = await gone
  await until(
    'the zone says that it waits',
    () => statusOf(zoneAddress),
    ({ uplink }) => uplink.phase === 'waiting' && /cannot reach 127\.0\.0\.1:\d+: .*ECONNREFUSED/.test(uplink.reason),
  )
  await putMesh('while-away')
  again()
  await untilCurrent('east', before)
  await expectChangeArrives('after-kill')
})

test('W4 after the global restarts behind nginx, the zone reconnects and changes arrive', async () => {
  const before = await untilCurrent()
  const again = await processes.kill('global', 'SIGTERM')
  again()
  await untilCurrent('east', before)
  await expectChangeArrives('after-restart')
})

test('W5 through nginx a zone receives the reason why its token is refused, and reports what is wrong with the connection', async () => {
  const { token } = given
  const forged = `${token.slice(0, token.lastIndexOf('.'))}.${'A'.repeat(342)}`
  const refused = startZone('refused', { ...given, token: forged }, '--api-port', '0')
  await untilLogged(
    refused.logFile,
    /the global and this zone do not agree: the token was not signed by this control plane/,
  )
  const pinned = startZone('pinned', { ...given, address: `wss://${local}:${tlsPort}` }, '--api-port', '0')
  await untilLogged(pinned.logFile, /do not agree: expected a certificate authority with SHA-256/)
  for (const name of ['refused', 'pinned']) await processes.kill(name, 'SIGTERM')
})

test('W6 a join string for WebSocket pins the authority of the global if no proxy is in between', async () => {
  const join = await joinOf('west', '--websocket')
  expect(join.address).toMatch(/^wss:\/\/127\.0\.0\.1:\d+$/)
  startZone('zone-west', join, '--api-port', '0')
  await untilCurrent('west')
  const plain = await zonemesh(
    'token',
    'zone',
    'north',
    '--address',
    globalAddress,
    '--join-address',
    'ws://10.0.0.1:1',
  )
  expect(plain).toMatchObject({ code: 2, stdout: '' })
  expect(plain.stderr).toMatch(/loopback only; use wss:\/\//)
})
