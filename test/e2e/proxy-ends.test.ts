import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { freePorts } from '@zonemesh/cli/scene/ports.ts'
import { createProcesses, type Processes } from '@zonemesh/cli/scene/processes.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { dataplaneToken, startHomeZone } from './home-zone.ts'
import { api, type Folder, local, root, temporaryFolder, until } from './rig.ts'

const rounds = 20
const launcher = join(root, 'bin/zonemesh')

let folder: Folder
let processes: Processes
let ports: number[] = []
let address = ''
let proxyAddress = ''
let tokenFile = ''
const terminals = new Set<ChildProcess>()
const port = (): number => ports.pop() ?? 0

beforeAll(async () => {
  folder = temporaryFolder()
  processes = createProcesses(folder.path)
  ports = await freePorts(systemRandom, 2)
  ;({ address, proxyAddress } = await startHomeZone(processes, folder, port))
  tokenFile = await dataplaneToken(folder, address)
})
afterAll(async () => {
  for (const terminal of terminals) terminal.kill('SIGKILL')
  await processes.stop()
  folder[Symbol.dispose]()
})

interface Proxy {
  readonly name: string
  /** `script`, which gives the command a separate terminal. */
  readonly terminal: ChildProcess
  readonly launcherPid: number
  readonly envoyPid: number
  readonly output: () => string
}

const isAlive = (pid: number): boolean => existsSync(`/proc/${pid}`)

const childOf = (pid: number): number => {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean)
  return Number(children[0] ?? 0)
}

/** Starts a proxy as a user does: by the launcher, in a terminal. */
async function startProxy(name: string): Promise<Proxy> {
  const workDir = join(folder.path, name)
  mkdirSync(workDir)
  const file = folder.file(
    `${name}.yaml`,
    `type: Dataplane
mesh: default
name: ${name}
networking:
  address: ${local}
  inbound: [{ port: ${port()}, servicePort: ${port()}, tags: { kuma.io/service: ${name} } }]
`,
  )
  const words = [
    ...[launcher, 'dataplane', '--dataplane-file', file, '--cp-address', proxyAddress, '--token-file', tokenFile],
    ...['--work-dir', workDir, '--ca-cert-file', join(folder.path, 'home/ca.crt'), '--concurrency', '1'],
    ...['--drain-time', '3s', '--no-dns'],
  ]
  const terminal = spawn('script', ['-qfec', `exec ${words.join(' ')}`, '/dev/null'], {
    stdio: ['pipe', 'pipe', 'pipe'],
    detached: true,
  })
  terminals.add(terminal)
  let output = ''
  for (const stream of [terminal.stdout, terminal.stderr])
    stream?.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
  terminal.stdin?.on('error', () => {})
  await until(
    `${name} is served`,
    async () => (await api(address).need('GET', '/_status')).json as { proxies: { proxy: string; state: string }[] },
    ({ proxies }) => proxies.some(({ proxy, state }) => proxy.endsWith(`/${name}`) && state === 'connected'),
  )
  const launcherPid = childOf(terminal.pid ?? 0)
  const envoyPid = Number(readFileSync(join(workDir, 'envoy.pid'), 'utf8'))
  return { name, terminal, launcherPid, envoyPid, output: () => output }
}

async function startProxies(way: string): Promise<readonly Proxy[]> {
  ports = await freePorts(systemRandom, 2 * rounds)
  const started: Proxy[] = []
  // Five at a time: each of them starts two Nodes and an Envoy.
  for (let at = 0; at < rounds; at += 5)
    started.push(...(await Promise.all([0, 1, 2, 3, 4].map((offset) => startProxy(`${way}-${at + offset}`)))))
  return started
}

const isRegistered = async (name: string): Promise<boolean> =>
  (await api(address).call('GET', `/meshes/default/dataplanes/${name}`)).status === 200

const ways: readonly {
  readonly way: string
  readonly title: string
  readonly isClean: boolean
  end(proxy: Proxy): void
}[] = [
  { way: 'key', title: 'Ctrl-C in its terminal', isClean: true, end: ({ terminal }) => terminal.stdin?.write('\x03') },
  { way: 'term', title: 'SIGTERM', isClean: true, end: ({ launcherPid }) => process.kill(launcherPid, 'SIGTERM') },
  { way: 'hangup', title: 'a closed terminal', isClean: true, end: ({ terminal }) => terminal.kill('SIGKILL') },
  {
    way: 'launcher',
    title: 'SIGKILL of its launcher',
    isClean: true,
    end: ({ launcherPid }) => process.kill(launcherPid, 'SIGKILL'),
  },
  {
    way: 'kill',
    title: 'SIGKILL',
    isClean: false,
    end: ({ launcherPid }) => process.kill(childOf(launcherPid), 'SIGKILL'),
  },
]

test.for(ways)(
  'E43 no Envoy outlives its proxy process, and none is started again: $title',
  { timeout: 180_000 },
  async ({ way, isClean, end }) => {
    const proxies = await startProxies(way)
    await Promise.all(
      proxies.map(async (proxy) => {
        expect(isAlive(proxy.envoyPid)).toBe(true)
        const ended = once(proxy.terminal, 'exit')
        end(proxy)
        // The row is removed before the Envoy stops, so no client uses a closed port.
        if (isClean) {
          const gone = until(
            `the Envoy of ${proxy.name} ends`,
            () => isAlive(proxy.envoyPid),
            (alive) => !alive,
          ).then(() => performance.now())
          await until(
            `${proxy.name} is removed`,
            () => isRegistered(proxy.name),
            (found) => !found,
          )
          const removedAtMs = performance.now()
          expect(await gone, 'Envoy serves while it drains').toBeGreaterThan(removedAtMs)
        }
        await until(
          `the Envoy of ${proxy.name} ends`,
          () => isAlive(proxy.envoyPid),
          (alive) => !alive,
          8_000,
        )
        await ended
        expect(proxy.output()).not.toMatch(/Envoy exited; restarting it/)
      }),
    )
  },
)
