import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { RunningGlobal } from '@zonemesh/global/global.ts'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { writeRunning } from '../src/base/running-scene.ts'
import { targetOf } from '../src/base/target.ts'
import { createUser, startTestGlobal, type User } from './rig.ts'

let global: RunningGlobal
let address: string
let user: User

beforeEach(async () => {
  global = await startTestGlobal('--no-localhost-is-admin')
  address = `http://127.0.0.1:${global.apiPort}`
  user = createUser()
})
afterEach(async () => {
  user[Symbol.dispose]()
  await global.close()
})

const fileOf = ({ home }: User): string => join(home, '.config/zonemesh/contexts.yaml')
const secret = 'eyJhbGciOiJSUzI1NiJ9.planted.token'

test('B70 a context is stored in a file that only its owner can read, and no output has its token', async () => {
  const added = await user.run(['context', 'add', 'prod', '--address', address, '--token', secret])
  expect(added).toEqual({
    code: 0,
    stdout: '',
    stderr: `context prod is stored in ${fileOf(user)}\nuse it with: zonemesh context use prod\n`,
  })
  expect(statSync(fileOf(user)).mode & 0o777).toBe(0o600)
  expect(readFileSync(fileOf(user), 'utf8')).toContain(secret)
  user.file('ada.token', secret)
  const second = ['context', 'add', 'lab', '--address', address, '--token-file', 'ada.token', '--use']
  expect((await user.run(second)).code).toBe(0)
  expect((await user.run(second)).stderr).toBe(
    'zonemesh context add: context "lab" exists already; replace it with --force, or choose another name\n',
  )
  const outputs = await Promise.all([
    ...['table', 'json'].map((form) => user.run(['context', 'list', '-o', form])),
    ...['table', 'json'].map((form) => user.run(['context', 'show', '-o', form, '--context', 'prod'])),
    user.run(['get', 'meshes', '--context', 'prod']),
    user.run(['context', 'remove', 'nothing']),
  ])
  for (const { stdout, stderr } of outputs) expect(stdout + stderr).not.toContain('planted')
  expect(outputs[0]?.stdout.split('\n')).toEqual([
    expect.stringMatching(/^ +NAME +ADDRESS +CREDENTIALS +AUTHORITY$/),
    expect.stringMatching(/^ +prod +http:\S+ +a token +-$/),
    expect.stringMatching(new RegExp(`^\\* +lab +http:\\S+ +the token in ${user.home}/ada.token +-$`)),
    '',
  ])
  expect((await user.run(['context', 'remove', 'lab'])).stderr).toBe(
    'context lab is removed; no context is current now\n',
  )
  // Nothing is left of the files that are replaced.
  expect(readdirSync(join(user.home, '.config/zonemesh'))).toEqual(['contexts.yaml'])
})

/** A scene of this process, as `zonemesh up` publishes it. */
async function runScene(folder: string): Promise<void> {
  mkdirSync(join(folder, '.zonemesh'), { recursive: true })
  const planes = { globalAddress: 'http://127.0.0.1:7', zones: {}, processes: [] }
  await writeRunning(join(folder, '.zonemesh'), { startedAtMs: 0, ready: true, ...planes })
}

test('B71 the address comes from the flags, the environment, the scene of the folder, the current context, or the default', async () => {
  for (const [name, port] of Object.entries({ one: 1, two: 2, three: 3 }))
    await user.run(['context', 'add', name, '--address', `http://127.0.0.1:${port}`, '--token', `${name}.of.it`])
  await runScene(join(user.home, 'shop'))
  const shown = async (args: readonly string[], environment: Record<string, string> = {}, within = '.') => {
    const { stdout, stderr } = await user.run(['context', 'show', ...args], { environment, within })
    return (stdout + stderr).split('\n')[0]
  }
  expect(await shown([])).toBe('http://localhost:5681 (the default address)')
  await user.run(['context', 'use', 'three'])
  expect(await shown([])).toBe('http://127.0.0.1:3 (context three)')
  expect(await shown([], {}, 'shop')).toBe('http://127.0.0.1:7 (the scene that runs in this folder)')
  const byContext = { ZONEMESH_CONTEXT: 'two' }
  expect(await shown([], byContext, 'shop')).toBe('http://127.0.0.1:2 (context two)')
  const byBoth = { ZONEMESH_ADDRESS: 'http://127.0.0.1:8', ...byContext }
  expect(await shown([], byBoth, 'shop')).toBe('http://127.0.0.1:8 (the address that is given)')
  expect(await shown(['--context', 'one'], byBoth, 'shop')).toBe('http://127.0.0.1:1 (context one)')
  expect(await shown(['--address', 'http://127.0.0.1:9'], byBoth)).toBe(
    'http://127.0.0.1:9 (the address that is given)',
  )
  expect(await shown(['--address', 'http://127.0.0.1:9', '--context', 'one'])).toBe(
    'zonemesh context show: expected --address or --context, found both (http://127.0.0.1:9 and one)',
  )
})

test('B71 credentials of a context go only to its own address, and an option replaces them', async () => {
  await user.run(['context', 'add', 'prod', '--address', address, '--token', secret, '--use'])
  const credentials = async (...args: readonly string[]) =>
    (await user.run(['context', 'show', ...args])).stdout.split('\n')[1]
  expect(await credentials()).toBe('credentials: a token')
  expect(await credentials('--address', 'http://127.0.0.1:9')).toBe('credentials: none')
  expect(await credentials('--admin-key-file', 'admin.key')).toBe('credentials: the admin key in admin.key')
  // What a command sends is what `context show` shows: the global refuses the planted token.
  const refused = await user.run(['token', 'user', 'ada'])
  expect(refused.code).toBe(1)
  expect(refused.stderr).toMatch(/^zonemesh token user: http:\S+ \(context prod\): Invalid authentication data: /)
  expect((await user.run(['token', 'user', 'ada', '--address', address])).stderr).not.toContain('context prod')
})

test('B71 a command that calls another plane of the same mesh has the credentials of the context', () => {
  const values = { address: 'http://127.0.0.1:9', token: 'a.b.c', tokenFile: undefined, caCertFile: undefined }
  expect(targetOf({ ...targetOf(values), address: 'http://127.0.0.1:10' })).toMatchObject({
    ...{ address: 'http://127.0.0.1:10', token: 'a.b.c' },
  })
})

test.each([
  ['is no YAML', 'contexts:\n  prod: [\n', 3, 'Flow sequence'],
  ['has an unknown field', 'contexts:\n  prod:\n    address: http://a:1\n    tokn: x\n', 3, 'unknown field'],
  ['has no address', 'current: prod\ncontexts:\n  prod:\n    token: x\n', 4, 'contexts.prod.address'],
  ['has another type', 'contexts: 5\n', 1, 'expected "name: { address: URL }"'],
] as const)(
  'B72 a file of contexts that %s is refused with its line, and other ways to name a plane work',
  async (_title, text, line, words) => {
    mkdirSync(join(user.home, '.config/zonemesh'), { recursive: true })
    writeFileSync(fileOf(user), text)
    for (const args of [['status'], ['context', 'list'], ['context', 'add', 'x', '--address', address]]) {
      const { code, stderr } = await user.run(args)
      expect(code).toBe(1)
      expect(stderr).toContain(`${fileOf(user)}:${line}: `)
      expect(stderr).toContain(words)
      expect(stderr.trim().split('\n')).toHaveLength(1)
    }
    expect((await user.run(['get', 'meshes', '--address', address])).code).toBe(0)
    expect(readFileSync(fileOf(user), 'utf8')).toBe(text)
  },
)

test('B72 a context that does not exist, a name that is none and a plane that does not answer are explained', async () => {
  await user.run(['context', 'add', 'prod', '--address', 'http://127.0.0.1:9', '--use'])
  const stderr = async (...args: readonly string[]) => (await user.run(args)).stderr
  expect(await stderr('status')).toMatch(
    /^zonemesh status: cannot reach the control plane at http:\/\/127\.0\.0\.1:9 \(context prod\): /,
  )
  expect(await stderr('status', '--context', 'pord')).toBe(
    'zonemesh status: --context: no context "pord"; did you mean "prod"? (there are: prod)\n',
  )
  expect(await stderr('context', 'use', 'pord')).toContain('did you mean "prod"?')
  expect(await stderr('context', 'add', 'a b', '--address', address)).toContain('found "a b"')
  expect(await stderr('context', 'add', 'x', '--address', 'nowhere')).toContain('found "nowhere"')
  expect(await stderr('context', 'add', 'x', '--address', address, '--token-file', 'none')).toContain(
    `cannot read ${join(user.home, 'none')}`,
  )
  expect(await stderr('context', 'add', 'x', '--address', address, '--token', secret, '--token-file', 'x')).toContain(
    'expected one of --token, --token-file and --admin-key-file',
  )
})
