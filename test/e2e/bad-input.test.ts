import { join } from 'node:path'
import { loadCommands } from '@zonemesh/cli/command-line.ts'
import { freePorts } from '@zonemesh/cli/scene/ports.ts'
import { createProcesses, type Processes } from '@zonemesh/cli/scene/processes.ts'
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
  zonemesh,
  zonemeshWithInput,
} from './rig.ts'

let folder: Folder
let processes: Processes
let address = ''

beforeAll(async () => {
  folder = temporaryFolder()
  processes = createProcesses(folder.path)
  const [port = 0] = await freePorts(systemRandom, 1)
  address = `http://${local}:${port}`
  processes.startOwn('global', [
    ...['global', '--data-dir', join(folder.path, 'global'), '--host', local, '--api-port', `${port}`],
    ...['--api-tls-port', '0', '--health-port', '0', '--sync-port', '0'],
  ])
  await until(
    'the global answers',
    () => api(address).call('GET', '/'),
    ({ status }) => status === 200,
  )
})
afterAll(async () => {
  await processes.stop()
  folder[Symbol.dispose]()
})

const applyText = (yaml: string, ...rest: readonly string[]): Promise<Outcome> =>
  zonemeshWithInput(yaml, 'apply', '-f', '-', '--address', address, ...rest)

const revision = async (): Promise<number> => (await statusOf(address)).revision

const timeout = (name: string, conf: string): string => `type: Timeout
mesh: default
name: ${name}
sources: [{ match: { kuma.io/service: '*' } }]
destinations: [{ match: { kuma.io/service: '*' } }]
conf: ${conf}
`

test('E16 a refused document is named with its place, and with its field if there is one', async () => {
  const before = await revision()
  const cases: readonly (readonly [string, readonly RegExp[]])[] = [
    ['type: [Mesh\nname: x\n', [/^refused — standard input, document 1 \(line \d\): .+/]],
    ['type: Mush\nname: x\n', [/^Mush x: refused — standard input, document 1 \(line 1\)/, /^ {2}type: .*Mesh/m]],
    [timeout('a', '{ conectTimeout: 2s }'), [/^Timeout default\/a: refused/, /conf\.conectTimeout: .*connectTimeout/]],
    [timeout('a', '{ connectTimeout: [2] }'), [/conf\.connectTimeout: /]],
    [timeout('Bad_Name!', '{ connectTimeout: 2s }'), [/^Timeout default\/Bad_Name!: refused/, /^ {2}name: /m]],
    [timeout('a', '{}').replace('mesh: default', 'mesh: nowhere'), [/refused/, /nowhere/]],
  ]
  for (const [yaml, expected] of cases) {
    const { code, stderr, stdout } = await applyText(yaml)
    for (const line of expected) expect(stderr, yaml).toMatch(line)
    expect(stdout, yaml).not.toMatch(/created|updated/)
    expect(code, yaml).toBe(1)
  }
  expect(await revision()).toBe(before)
})

test('E17 the valid documents of a call are applied and the invalid ones named, and with --atomic nothing is written', async () => {
  const good = timeout('good', '{ connectTimeout: 2s }')
  const bad = timeout('bad', '{ conectTimeout: 2s }')
  const file = folder.file('two.yaml', `${good}---\n${bad}`)
  const before = await revision()
  const atomic = await zonemesh('apply', '-f', file, '--atomic', '--address', address)
  expect(atomic.code).toBe(1)
  expect(atomic.stderr).toContain('nothing was written (--atomic)')
  expect(atomic.stderr).toContain(`${file}, document 2 (line 8)`)
  const unreadable = folder.file('unreadable.yaml', `${good}---\ntype: [\n`)
  const unsent = await zonemesh('apply', '-f', unreadable, '--atomic', '--address', address)
  expect(unsent).toMatchObject({ code: 1, stdout: '' })
  expect(unsent.stderr).toMatch(/unreadable\.yaml, document 2 \(line \d+\): .*\n.*nothing was sent \(--atomic\)/)
  expect(await revision()).toBe(before)

  const both = await zonemesh('apply', '-f', file, '--address', address)
  expect(both.code).toBe(1)
  expect(both.stdout).toMatch(/^Timeout default\/good: created\nrevision \S+\n$/)
  expect(both.stderr).toContain(`Timeout default/bad: refused — ${file}, document 2 (line 8)`)
  expect(both.stderr).toMatch(/^ {2}conf\.conectTimeout: /m)
  expect(await revision()).toBe(before + 1)
})

test('E18 a body that is too large is refused in one line, and the plane continues', async () => {
  const large = folder.file('large.yaml', timeout('large', `{ connectTimeout: '${'x'.repeat(10 * 1024 * 1024)}' }`))
  const { code, stderr } = await zonemesh('apply', '-f', large, '--address', address)
  expect(code).toBe(1)
  expect(stderr.trim().split('\n').length).toBe(1)
  expect(stderr).toMatch(/larger than 4194304 bytes/)
  expect((await api(address).call('GET', '/meshes')).status).toBe(200)
})

test('E19 wrong usage of a command is explained in one line with exit code 2', async () => {
  const cases: readonly (readonly [readonly string[], RegExp])[] = [
    [['aply'], /unknown command "aply"; did you mean "apply"\?/],
    [['apply', '--fil', 'x'], /unknown option --fil; did you mean --file\?/],
    [['apply', '--file'], /--file needs a value/],
    [['apply'], /--file is required/],
    [['apply', '-f', '-', '--timeout', 'soon'], /--timeout: expected a duration such as 30s, 12h, 30d, found "soon"/],
    [['apply', '-f', '-', '--wait', 'done@all'], /--wait: expected stored@all/],
    [['get', 'mush'], /unknown kind "mush"; did you mean "mesh"\?/],
    [['get', 'meshtimeouts'], /the kind MeshTimeout of Kuma is known, not served yet; use Timeout/],
    [['delete', 'MeshTimeout', 'x'], /known, not served yet; use Timeout/],
    [['history', 'mesh-retries'], /known, not served yet; use Retry/],
    [['get'], /an argument is missing/],
    [['delete', 'mesh'], /expected KIND NAME, or -f FILE/],
    [['zone', 'release', 'a', 'b'], /unexpected "b"/],
    [['global', '--api-port', ''], /--api-port: expected a port from 0 to 65535, found ""/],
    [['global', '--api-port', '70000'], /--api-port: expected a port from 0 to 65535, found "70000"/],
    [['zone'], /give --join with the output of `zonemesh token zone NAME`/],
    ...['zone', 'dataplane --name web'].flatMap((command): [string[], RegExp][] => [
      [[...command.split(' '), '--join', 'zmj1.x'], /the join string is not valid/],
      [[...command.split(' '), '--join', 'none.join'], /or a file that holds one, found "none\.join"/],
    ]),
    [['dataplane'], /give --dataplane-file/],
    [['status', '--address', 'nowhere'], /expected a URL/],
    [
      ['dataplane', '--name', 'web', '--cp-address', 'zone'],
      /--cp-address: expected a URL such as https:\/\/zone:5678/,
    ],
    [['dataplane', '--name', 'web', '--concurrency', 'x'], /--concurrency: expected a whole number of at least 1/],
    [['resolve', 'a.mesh', '--at', '127.0.0.1:70000'], /--at: expected HOST:PORT, found/],
    [['demo', '--seed', 'x'], /--seed: expected a whole number, found "x"/],
    [['token'], /token zone/],
  ]
  for (const [args, line] of cases) {
    const outcome = await zonemesh(...args)
    expect({ args, code: outcome.code, stdout: outcome.stdout }).toEqual({ args, code: 2, stdout: '' })
    expect(outcome.stderr).toMatch(line)
  }
  const [closed = 0] = await freePorts(systemRandom, 1)
  const nobody = await zonemesh('status', '--address', `http://${local}:${closed}`)
  expect(nobody).toMatchObject({ code: 1, stdout: '' })
  expect(nobody.stderr).toMatch(/^zonemesh status: cannot reach the control plane at \S+: .*ECONNREFUSED.*\n$/)
})

test('E20 every command has a --help that exits with 0 and shows its usage', { timeout: 240_000 }, async () => {
  const commands = await loadCommands()
  expect(commands.length).toBeGreaterThan(10)
  for (const { name, usage } of commands) {
    const outcome = await zonemesh(...name.split(' '), '--help')
    expect(outcome, name).toMatchObject({ code: 0, stderr: '' })
    expect(outcome.stdout).toContain(`Usage: zonemesh ${name} ${usage}`)
  }
  expect(await zonemesh('--help')).toMatchObject({ code: 0, stderr: '' })
})
