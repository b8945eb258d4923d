import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { requestOnce } from '@zonemesh/cli/base/http.ts'
import { afterAll, expect, test } from 'vitest'
import { local, type Outcome, root, startTraffic, temporaryFolder, until } from './rig.ts'
import { createShell, useFreePorts } from './scene-folder.ts'

const launcher = join(root, 'bin/zonemesh')
const folder = temporaryFolder()
const hostname = 'shop.example.com'
let gatewayPort = 0
let live: ChildProcess | undefined

const shell = createShell(folder)
/** Runs a command in the folder of the scene, as its user does. */
const inScene = (...args: readonly string[]): Promise<Outcome> => shell(`zonemesh ${args.join(' ')}`, folder.path)

/** Processes whose command line names the folder of the scene. */
const ofScene = (): readonly string[] =>
  readdirSync('/proc')
    .filter((pid) => /^\d+$/.test(pid))
    .map((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')
      } catch {
        return ''
      }
    })
    .filter((line) => line.includes(folder.path))

const ask = (path = '/') => requestOnce({ host: local, port: gatewayPort, hostname, path })
const stateOf = (name: string) => {
  // The command writes its own format.
  const { processes } = JSON.parse(readFileSync(join(folder.path, '.zonemesh/up.json'), 'utf8')) as {
    processes: { name: string; pid: number; restarts: number }[]
  }
  return processes.find((one) => one.name === name)
}

afterAll(async () => {
  if (live?.exitCode === null) live.kill('SIGKILL')
  await inScene('down')
  folder[Symbol.dispose]()
})

test('UP5 init writes a scene, and up brings a request from the gateway of one zone to the other', async () => {
  const written = await inScene('init')
  expect(written).toMatchObject({ code: 0, stderr: '' })
  expect(written.stdout).toBe(
    'wrote policies/gateway.yaml\nwrote policies/mesh.yaml\nwrote policies/route.yaml\nwrote zonemesh.yaml\nStart it with: zonemesh up\n',
  )
  const again = await inScene('init')
  expect(again).toMatchObject({ code: 1, stdout: '' })
  expect(again.stderr).toBe(
    'zonemesh init: policies/gateway.yaml exists already; name another folder, or replace it with --force\n',
  )
  // The folder will hold keys. The first line of each file names a schema in it.
  const dataFolder = join(folder.path, '.zonemesh')
  expect([statSync(dataFolder).mode & 0o777, readFileSync(join(dataFolder, '.gitignore'), 'utf8')]).toEqual([
    0o700,
    '*\n',
  ])
  for (const file of ['zonemesh.yaml', 'policies/mesh.yaml']) {
    const [, named = ''] =
      /^# yaml-language-server: \$schema=(\S+)\n/.exec(readFileSync(join(folder.path, file), 'utf8')) ?? []
    const schema = JSON.parse(readFileSync(join(folder.path, dirname(file), named), 'utf8'))
    expect(schema.type, file).toBe('object')
  }
  const portFor = await useFreePorts(folder.path)
  gatewayPort = portFor(8080)

  const started = await inScene('up', '--detach')
  expect(started).toMatchObject({ code: 0, stderr: '' })
  const lines = started.stdout.split('\n')
  for (const step of [
    /^✔ +[\d.]+ s {2}zones online: east, west$/,
    /^✔ +[\d.]+ s {2}policies synced: 4 resources stored in east and west /,
    /^✔ +[\d.]+ s {2}proxies connected: gateway-1, ingress-west, echo-1, echo-2$/,
    /^✔ +[\d.]+ s {2}served in east and west$/,
    /^It runs in the background: `zonemesh down` stops it/,
  ])
    expect(
      lines.some((line) => step.test(line)),
      String(step),
    ).toBe(true)
  // Served is served: the first request is answered.
  expect(await ask()).toMatchObject({ status: 200, headers: { 'x-zone': 'west', 'x-version': 'v1' } })
  for (const line of lines.filter((one) => one.startsWith('  curl '))) {
    const printed = spawn('sh', ['-c', line.trim()], { stdio: ['ignore', 'pipe', 'ignore'] })
    const [text]: Buffer[] = await once(printed.stdout, 'data')
    expect(String(text)).toContain('"zone":"west"')
  }
  for (const file of ['ports.json', 'up.json', 'east.join', 'dataplane.token', 'global.log'])
    expect(statSync(join(folder.path, '.zonemesh', file)).mode & 0o777, file).toBe(0o600)
})

test('UP6 commands in the folder of a scene use its global, and status shows its processes', async () => {
  const status = await inScene('status')
  expect(status).toMatchObject({ code: 0, stderr: '' })
  expect(status.stdout).toMatch(/^east +current /m)
  expect(status.stdout).toMatch(/^process +state +pid +since +restarts\n(.*\n)*echo-1 +runs +\d+ +\w+ +0$/m)
  expect((await inScene('up')).stderr).toMatch(
    /^zonemesh up: the scene of \S+ runs already \(process \d+\); look at it with/,
  )
})

test('B81 top shows the zones, and requests, errors and times of its proxies', async () => {
  await using traffic = startTraffic(() => ask())
  const shown = await inScene('top', '--once', '--sidecars', '--interval', '1s')
  expect((await traffic.stop()).failures).toEqual([])
  expect(shown).toMatchObject({ code: 0, stderr: '' })
  expect(shown.stdout).toMatch(/^east +current /m)
  expect(shown.stdout).toMatch(/^gateway-1 +in +edge-gateway +[1-9][\d.]* +0 /m)
  expect(shown.stdout).toMatch(/^gateway-1 +out +echo_demo_svc_8080 +[1-9][\d.]* +0 /m)
  expect(shown.stdout).toMatch(/^echo-1 +in +localhost_\d+ +[1-9][\d.]* +0 /m)
  const gateways = await inScene('top', '--once', '--interval', '1ms')
  expect(gateways.stdout).toMatch(/^gateway-1 +in /m)
  expect(gateways.stdout).not.toContain('echo-1')
})

test('Q9 apply reports requests that its routes answer and that reach no service', async () => {
  const route = readFileSync(join(folder.path, 'policies/route.yaml'), 'utf8')
  const lost = folder.file(
    'lost.yaml',
    route.replace('version: v1', 'version: v3').replace('name: shop', 'name: lost').replace('value: /', 'value: /lost'),
  )
  const applied = await inScene('apply', '-f', lost, '--wait', 'served@all')
  expect(applied).toMatchObject({ code: 0, stderr: '' })
  expect(applied.stdout.split('\n').slice(-4)).toEqual([
    expect.stringMatching(/^east: served after [\d.]+ ms$/),
    expect.stringMatching(/^west: served after [\d.]+ ms$/),
    `but http://${hostname}:${gatewayPort}/lost at east/gateway-1 fails: echo_demo_svc_8080 has no instance with kuma.io/service=echo_demo_svc_8080 version=v3: the answer is 503; correct the tags of the backend, or start an instance with them; the instances have: ${['v1', 'v2'].map((version) => `kuma.io/protocol=http kuma.io/service=echo_demo_svc_8080 kuma.io/zone=west version=${version}`).join('; ')}`,
    '',
  ])
  expect(await ask('/lost')).toMatchObject({ status: 503 })
  expect(await inScene('delete', 'meshgatewayroute', 'lost')).toMatchObject({ code: 0 })
})

test('UP7 logs shows the log of a process by its role, and lists the roles', async () => {
  expect((await inScene('logs', 'east', '--lines', '1')).stdout.split('\n').length).toBe(2)
  expect((await inScene('logs', 'global')).stdout).toContain('a zone is connected')
  expect(await inScene('logs', 'gateway-2')).toMatchObject({ code: 1, stdout: '' })
  expect((await inScene('logs', 'gateway-2')).stderr).toBe(
    'zonemesh logs: nothing in this scene is called "gateway-2"; did you mean "gateway-1"? (there are: echo-1, echo-2, gateway-1, global, ingress-west, up, zone-east, zone-west)\n',
  )
  const following = spawn(launcher, ['logs', 'west', '--follow', '--lines', '1'], { cwd: folder.path })
  let text = ''
  following.stdout.setEncoding('utf8').on('data', (part: string) => {
    text += part
  })
  await until(
    'the log is shown',
    () => text,
    (shown) => shown !== '',
  )
  const shownBefore = text
  const { pid = 0 } = stateOf('echo-2') ?? {}
  process.kill(pid, 'SIGKILL')
  await until(
    'a new line is shown',
    () => text.slice(shownBefore.length),
    (shown) => shown.includes('echo-2'),
  )
  following.kill('SIGINT')
  expect(await once(following, 'exit')).toEqual([0, null])
})

test('UP8 a process of a scene that is killed is started again, and status counts its restarts', async () => {
  const before = stateOf('zone-west')
  process.kill(before?.pid ?? 0, 'SIGKILL')
  await until(
    'the zone runs again',
    () => stateOf('zone-west'),
    (one) => one?.restarts === 1 && one.pid > 0 && one.pid !== before?.pid,
  )
  expect(readFileSync(join(folder.path, '.zonemesh/up.log'), 'utf8')).toMatch(
    /^zone-west ended with SIGKILL; starting it again in \d\.\d s$/m,
  )
  const waited = await until(
    'the zone serves a change again',
    () => inScene('apply', '-f', 'policies/route.yaml', '--wait', 'served@east,west', '--timeout', '5s'),
    ({ code }) => code === 0,
    60_000,
  )
  expect(waited.stdout).toMatch(/^west: served/m)
})

test('UP9 down stops every process, and the next up keeps ports, tokens and what was applied meanwhile', async () => {
  const route = readFileSync(join(folder.path, 'policies/route.yaml'), 'utf8')
  const changed = folder.file('v2.yaml', route.replace('version: v1', 'version: v2'))
  expect(await inScene('apply', '-f', changed, '--wait', 'served@all')).toMatchObject({ code: 0 })
  // A zone that somebody adds and does not start is not awaited by the next up.
  expect(await inScene('token', 'zone', 'north', '--out', 'north.join')).toMatchObject({ code: 0 })
  const ports = readFileSync(join(folder.path, '.zonemesh/ports.json'), 'utf8')
  const stopped = await inScene('down')
  expect(stopped).toMatchObject({ code: 0, stdout: '' })
  expect(stopped.stderr).toMatch(/^stopped \d+ processes\n$/)
  expect(ofScene()).toEqual([])
  expect((await inScene('down')).stderr).toMatch(/^nothing runs with the data in /)

  const started = await inScene('up', '--detach')
  expect(started.code, started.stdout).toBe(0)
  expect(started.stdout).toContain('policies unchanged since they were applied: 4 resources')
  expect(readFileSync(join(folder.path, '.zonemesh/ports.json'), 'utf8')).toBe(ports)
  expect(await ask()).toMatchObject({ status: 200, headers: { 'x-version': 'v2' } })
})

test('UP10 kill -9 of up, and a closed terminal, leave no process', async () => {
  for (const signal of ['SIGKILL', 'SIGHUP'] as const) {
    if (signal === 'SIGHUP') {
      live = spawn(launcher, ['up'], { cwd: folder.path, stdio: 'ignore', detached: true })
      await until(
        'the scene is ready',
        () => ask(),
        ({ status }) => status === 200,
        60_000,
      )
      process.kill(-(live.pid ?? 0), signal)
    } else {
      // The command writes its own format.
      const { pid } = JSON.parse(readFileSync(join(folder.path, '.zonemesh/up.json'), 'utf8')) as { pid: number }
      process.kill(pid, signal)
    }
    await until('no process is left', ofScene, (lines) => lines.length === 0, 30_000)
  }
})

test('UP11 a scene whose process fails at the start stops, and the message has the end of its log', async () => {
  const text = readFileSync(join(folder.path, 'zonemesh.yaml'), 'utf8')
  folder.file('zonemesh.yaml', text.replace(/echo:\n +version: v2/, "run: [sh, -c, 'echo no licence >&2; exit 3']"))
  const failed = await inScene('up')
  expect(failed.code).toBe(1)
  expect(failed.stderr).toMatch(/zonemesh up: echo-2-service ended with 3:\nno licence\n$/)
  expect(ofScene()).toEqual([])
  folder.file('zonemesh.yaml', text.replace('policies:\n', 'policy:\n'))
  expect((await inScene('up')).stderr).toMatch(/^zonemesh up: zonemesh\.yaml:\d+: policy: unknown field\n$/)
})
