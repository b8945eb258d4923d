import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { root, run, until } from './rig.ts'

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

/** The expected output of each kind of command line that the demo prints. */
const answers: readonly (readonly [RegExp, RegExp])[] = [
  [/^curl /, /^\{.*"zone":"west".*\}$/m],
  [/^bin\/zonemesh resolve /, /^\d+\.\d+\.\d+\.\d+$/m],
  [/^dig /, /^\d+\.\d+\.\d+\.\d+$/m],
  [/ status --address \S+ --token-file/, /^east +current .*\nwest +current /m],
  [
    / status --address \S+$/,
    /^uplink connected, (current|behind), global revision \d+, last bookmark .+\n(.*\n)*.*gateway-1 +connected/m,
  ],
  [/ get dataplanes /, /echo-1.*\n(.*\n)*.*gateway-1/],
  [/ get meshgatewayroute /, /^type: MeshGatewayRoute$/m],
  [/ apply .* --wait served@all /, /^east: served after [\d.]+ ms\nwest: served after [\d.]+ ms$/m],
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
  expect(invitations.length).toBeGreaterThanOrEqual(10)
  const kinds = new Set<RegExp>()
  for (const line of invitations.map((one) => one.trim())) {
    const [kind, answer] = answers.find(([start]) => start.test(line)) ?? []
    expect(kind, `no expectation for: ${line}`).toBeDefined()
    const outcome = await run('bash', ['-c', line])
    expect({ line, ...outcome }).toMatchObject({ code: 0, stderr: '' })
    expect(outcome.stdout, line).toMatch(answer ?? /^$/)
    if (kind) kinds.add(kind)
  }
  expect(answers.filter(([kind]) => !kinds.has(kind) && kind.source !== '^dig ')).toEqual([])

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
