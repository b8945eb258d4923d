import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { root, run, temporaryFolder, until } from './rig.ts'

const launcher = join(root, 'bin/zonemesh')

const processes = (): number[] =>
  readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number)

/** A file of a process; empty when the process has exited. */
function procFile(pid: number, name: string): string {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'utf8')
  } catch {
    return ''
  }
}

const commandLine = (pid: number): string => procFile(pid, 'cmdline')

/** The fields after the name of a process: its state, its parent. */
const statOf = (pid: number): readonly string[] => procFile(pid, 'stat').split(') ').at(-1)?.split(' ') ?? []

/** Every process below one, as the system knows them. */
function descendants(pid: number): number[] {
  const parentByPid = new Map(processes().map((one) => [one, Number(statOf(one)[1])]))
  const below = (parent: number): number[] =>
    [...parentByPid].filter(([, of]) => of === parent).flatMap(([child]) => [child, ...below(child)])
  return below(pid)
}

const isAlive = (pid: number): boolean => !['', 'Z', undefined].includes(statOf(pid)[0])

interface Live extends AsyncDisposable {
  readonly process: ChildProcess
  readonly exited: Promise<number | string>
  readonly lines: () => readonly string[]
}

/** `zonemesh demo` in a separate process group, which Ctrl-C signals. */
function startLive(...args: readonly string[]): Live {
  const child = spawn(launcher, ['demo', ...args], { cwd: root, detached: true, stdio: ['ignore', 'pipe', 'inherit'] })
  let text = ''
  child.stdout.setEncoding('utf8').on('data', (part: string) => {
    text += part
  })
  const exited = new Promise<number | string>((resolve) => {
    child.once('exit', (code, signal) => resolve(code ?? signal ?? ''))
  })
  return {
    process: child,
    exited,
    lines: () => text.split('\n'),
    async [Symbol.asyncDispose]() {
      if (child.exitCode === null) child.kill('SIGTERM')
      await exited
    },
  }
}

const steps = [
  /zones online: east, west/,
  /policies synced: \d+ resources stored in east and west/,
  /a request to http:\/\/\S+\/ entered in east and was answered in west by \S+/,
  /weights \d+:\d+: both \S+ and \S+ answer on \/split/,
  /\S+\.mesh is [\d.]+ at the resolver of zone east/,
  /the delegated gateway \(\w+\) reached west as http:\/\/\S+\.mesh:\d+ through its sidecar/,
  /the client service reached west through its outbound on port \d+/,
  /route changed six times on the global: east's gateway answered the new way after [\d.]+(, [\d.]+){5} ms/,
]

test('E1 the demo proves that a request crosses zones, for any names, and exits with 0', async () => {
  const hostnames: string[] = []
  for (const seed of ['11', '12']) {
    const { code, stdout, stderr } = await run(launcher, ['demo', '--once', '--seed', seed], '', 50_000)
    expect(`${code} ${stderr}`).toBe('0 ')
    const lines = stdout.trim().split('\n')
    expect(lines.length).toBe(steps.length)
    steps.forEach((step, index) => {
      expect(lines[index]).toMatch(/^✔ +\d+\.\d s {2}\S/)
      expect(lines[index]).toMatch(step)
    })
    hostnames.push(/http:\/\/([^:/]+)/.exec(stdout)?.[1] ?? '')
  }
  expect(hostnames[0]).not.toBe(hostnames[1])
})

/** The expected output of each command that the demo prints, by its label. */
const answers: Readonly<Record<string, RegExp>> = {
  'settings for this shell': /^$/,
  'enter in east, answered in west': /^\{.*"zone":"west".*\}$/m,
  'a name at the resolver of east': /^\d+\.\d+\.\d+\.\d+$/m,
  'the same beside a proxy': /^\d+\.\d+\.\d+\.\d+$/m,
  'the same with dig': /^\d+\.\d+\.\d+\.\d+$/m,
  'zones and proxies': /^east +current .*\nwest +current /m,
  'what an Envoy runs': /^Envoy runs exactly this configuration\.$/m,
  'the path of a request': /^the path is open$/m,
  proxies: /echo-1.*\n(.*\n)*.*gateway-1/,
  'the route, to edit': /^type: MeshGatewayRoute$/m,
  'what changed': /conf\.http\.rules\[0\]/,
  'undo the last change': /^east: served after [\d.]+ ms\nwest: served after [\d.]+ ms$/m,
}
const labelled: readonly (readonly [RegExp, RegExp])[] = [
  [/^split \d+:\d+$/, /^\{.*"zone":"west".*\}$/m],
  [/^the delegated gateway \(\w+\)$/, /^\{.*"zone":"west".*\}$/m],
]

test('E2 every line that the demo prints works when pasted, and Ctrl-C ends every process with exit code 0', async () => {
  await using live = startLive('--seed', '13')
  await until(
    'the demo is ready',
    live.lines,
    (lines) => lines.some((line) => line.startsWith('Logs and stores: ')),
    60_000,
  )
  const invitations = live.lines().filter((line) => line.startsWith('  '))
  expect(invitations.length).toBeGreaterThanOrEqual(13)
  const settings = invitations.find((line) => line.includes('demo env'))?.replace(/^ *settings for this shell */, '')
  for (const line of invitations) {
    const [label = '', command = ''] = line.trim().split(/ {2,}/)
    const answer = answers[label] ?? labelled.find(([known]) => known.test(label))?.[1]
    expect(answer, `no expectation for: ${line}`).toBeDefined()
    const outcome = await run('bash', ['-c', `${settings}; ${command}`])
    expect({ line, ...outcome }).toMatchObject({ code: 0, stderr: '' })
    expect(outcome.stdout, line).toMatch(answer ?? /^$/)
  }

  const pid = live.process.pid ?? 0
  const below = descendants(pid)
  // The launcher's child, a global, two zones, seven proxies and their Envoys.
  expect(below.length).toBeGreaterThanOrEqual(18)
  process.kill(-pid, 'SIGINT')
  expect(await live.exited).toBe(0)
  expect(below.filter(isAlive)).toEqual([])
  const folder = live
    .lines()
    .find((line) => line.startsWith('Logs and stores: '))
    ?.slice('Logs and stores: '.length)
  expect(existsSync(folder ?? '/')).toBe(false)
})

test('E3 Ctrl-C while the demo starts ends every process too', async () => {
  await using live = startLive('--seed', '14')
  const pid = live.process.pid ?? 0
  const envoy = await until(
    'an Envoy runs',
    () =>
      descendants(pid)
        .map(commandLine)
        .find((line) => line.includes('--config-path')),
    (line) => line !== undefined,
    60_000,
  )
  // The command line of each process of the demo contains its folder, also of processes started later.
  const [folder = ''] = /[^\0]*zonemesh-demo-\w+/.exec(envoy ?? '') ?? []
  expect(folder).not.toBe('')
  process.kill(-pid, 'SIGINT')
  expect(await live.exited).toBe(0)
  expect(processes().filter((one) => commandLine(one).includes(folder))).toEqual([])
  expect(existsSync(folder)).toBe(false)
})

/** The demo on a terminal of 130 columns, whose keys the test presses. */
function startOnTerminal() {
  const command = `stty cols 130 rows 45; exec ${launcher} demo --seed 15`
  const child = spawn('script', ['--quiet', '--return', '--command', command, '/dev/null'], { cwd: root })
  let text = ''
  child.stdout.setEncoding('utf8').on('data', (part: string) => {
    text += part
  })
  const exited = new Promise<number | null>((resolve) => child.once('exit', resolve))
  /** The newest complete screen, without colours. */
  const screen = (): string => {
    const [newest = ''] = text
      .split('\u001b[H')
      .filter((one) => one.includes('\u001b[J'))
      .slice(-1)
    // biome-ignore lint/suspicious/noControlCharactersInRegex: sequences of a terminal begin with such a character.
    return newest.replace(/\u001b\[[\d;?]*[A-Za-z]/g, '')
  }
  return {
    exited,
    text: () => text,
    press: (key: string) => void child.stdin.write(key),
    shows: (what: string, pattern: RegExp, limitMs = 30_000) =>
      until(what, screen, (lines) => pattern.test(lines), limitMs),
    async [Symbol.asyncDispose]() {
      if (child.exitCode === null) child.kill('SIGTERM')
      await exited
    },
  }
}

test('E52 the live demo shows traffic, changes and faults as they happen, and its keys act on the mesh', async () => {
  await using demo = startOnTerminal()
  await demo.shows(
    'zones and traffic',
    /^east +current[\s\S]*^west +current[\s\S]*[1-9]\d* requests, 0 failed/m,
    60_000,
  )
  demo.press('s')
  await demo.shows(
    'the split with its delays',
    /MeshGatewayRoute \w+ changed @\d+: east after \d+ ms, west after \d+ ms/,
  )
  demo.press('b')
  await demo.shows('failing requests', /refused by the gateway with 503 +\d+ %/)
  demo.press('r')
  await demo.shows('the end of the failures', /roll back: the route is as it was[\s\S]*/)
  await demo.shows('answers from west again', /^last: 200 \S+ in west/m)
  demo.press('z')
  await demo.shows('the killed zone', /zone-west ended with SIGKILL/)
  await demo.shows('its start', /zone-west is started again after [\d.]+ s; meanwhile \d+ requests, 0 failed/)
  demo.press('p')
  await demo.shows('the lost zone', /zone east is offline/)
  demo.press('h')
  await demo.shows('its return', /zone east is current again after [\d.]+ s; meanwhile [1-9]\d* requests, 0 failed/)
  demo.press('c')
  await demo.shows('the commands', /^settings for this shell +eval /m)
  demo.press('q')
  expect(await demo.exited).toBe(0)
  // The terminal has its former screen and its cursor.
  expect(demo.text()).toContain('\u001b[?25h\u001b[?1049l')
}, 120_000)

test('E53 the folder of a demo that was killed is removed by the next one, and no token is in the temporary folder', async () => {
  const state = temporaryFolder()
  const environment = { ...process.env, XDG_STATE_HOME: state.path }
  const child = spawn(launcher, ['demo'], { cwd: root, detached: true, stdio: 'ignore', env: environment })
  const demos = join(state.path, 'zonemesh/demos')
  const folders = () => (existsSync(demos) ? readdirSync(demos) : [])
  const before = readdirSync(tmpdir())
  const [first = ''] = await until('the demo has a folder', folders, (names) => names.length === 1)
  await until(
    'it has an admin token',
    () => readdirSync(join(demos, first)),
    (names) => names.includes('global.log'),
  )
  process.kill(-(child.pid ?? 0), 'SIGKILL')
  await new Promise((resolve) => child.once('exit', resolve))
  expect(readdirSync(tmpdir()).filter((name) => name.includes('demo') && !before.includes(name))).toEqual([])
  const next = await run('env', [`XDG_STATE_HOME=${state.path}`, launcher, 'demo', '--once'], '', 60_000)
  expect(next.code, next.stderr).toBe(0)
  expect(folders()).toEqual([])
  state[Symbol.dispose]()
}, 120_000)
