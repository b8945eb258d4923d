import { type RunningGlobal, startGlobal } from '@zonemesh/global/global.ts'
import { globalOptions } from '@zonemesh/global/options.ts'
import { type Options, readOptions } from '@zonemesh/plane/config/options.ts'
import { systemClock } from '@zonemesh/shared/env/clock.ts'
import { silentLog } from '@zonemesh/shared/env/log.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createClient } from '../src/base/client.ts'
import type { Command } from '../src/base/command.ts'
import { diff } from '../src/commands/diff.ts'
import { history } from '../src/commands/history.ts'
import { rollback } from '../src/commands/rollback.ts'

let global: RunningGlobal
let address: string

beforeEach(async () => {
  const ports = ['--api-port', '0', '--api-tls-port', '0', '--health-port', '0', '--sync-port', '0']
  const read = readOptions(globalOptions, ['--host', '127.0.0.1', ...ports], {})
  if (!read.ok) throw new Error(read.error.message)
  const env = { clock: systemClock, random: systemRandom, log: silentLog }
  global = await startGlobal(env, read.value.values, globalOptions)
  address = `http://127.0.0.1:${global.apiPort}`
})
afterEach(() => global.close())

/** Runs a command as the command line does, and captures its output. */
async function run<Spec extends Options>(command: Command<Spec>, ...args: string[]) {
  const read = readOptions(command.options, [...args, '--address', address], {})
  if (!read.ok) throw new Error(read.error.message)
  const printed: string[] = []
  const notes: string[] = []
  const code = await command.run(read.value.values, {
    positionals: read.value.positionals,
    signal: new AbortController().signal,
    print: (line) => void printed.push(line),
    note: (line) => void notes.push(line),
  })
  return { code, printed, notes, text: printed.join('\n') }
}

/** Writes a Timeout and returns the short form of its revision. */
async function put(name: string, connectTimeout: string): Promise<string> {
  const client = createClient({ address, token: undefined, tokenFile: undefined, caCertFile: undefined })
  const match = [{ match: { 'kuma.io/service': '*' } }]
  const reply = await client.need('PUT', `/meshes/default/timeouts/${name}`, {
    type: 'Timeout',
    mesh: 'default',
    name,
    sources: match,
    destinations: match,
    conf: { connectTimeout },
  })
  return /@\d+/.exec(String(reply.headers['zonemesh-revision']))?.[0] ?? ''
}

test('B5 history of a resource shows revision, time, author, reason and the changed fields of each version', async () => {
  const first = await put('t', '1s')
  const second = await put('t', '2s')
  for (const words of [['timeout/t'], ['timeouts', 't']]) {
    const { code, printed } = await run(history, ...words)
    expect(code).toBe(0)
    expect(printed[0]).toMatch(/^REVISION +WHEN +WHO +WHY +WHAT +ZONES$/)
    expect(printed[1]).toMatch(
      new RegExp(
        `^${second} +\\d{4}-\\S+Z +mesh-system:admin +PUT Timeout t +changed conf.connectTimeout "1s" → "2s"$`,
      ),
    )
    expect(printed[2]).toMatch(new RegExp(`^${first} .* created$`))
  }
  const json = JSON.parse((await run(history, 'timeout/t', '-o', 'json')).text)
  expect(json.items.map((one: { short: string }) => one.short)).toEqual([second, first])
})

test('B5 history without a resource shows as many of the newest commits as requested', async () => {
  await put('a', '1s')
  const last = await put('b', '1s')
  const { printed } = await run(history, '--limit', '2', '-o', 'wide')
  expect(printed[0]).toMatch(/^REVISION +WHEN +WHO +WHY +ROWS +RESOURCES$/)
  expect(printed[1]).toMatch(new RegExp(`^${last} .* Timeout default/b created$`))
  expect(printed[2]).toBe('    Timeout default/b created')
  expect(printed).toHaveLength(5)
  const older = await run(history, '--before', last)
  expect(older.text).not.toContain('default/b')
  expect(older.text).toContain('default/a created')
})

test('B6 diff prints a patch of the YAML, and its exit code reports a difference with --exit-code', async () => {
  const from = await put('t', '1s')
  const to = await put('t', '2s')
  const { code, printed } = await run(diff, `${from}..${to}`)
  expect(code).toBe(0)
  expect(printed).toEqual([
    `--- Timeout default/t ${from}`,
    `+++ Timeout default/t ${to}`,
    '@@ -10,4 +10,4 @@',
    '   - match:',
    '       kuma.io/service: "*"',
    ' conf:',
    '-  connectTimeout: 1s',
    '+  connectTimeout: 2s',
  ])
  expect((await run(diff, `${from}..${to}`, '--exit-code')).code).toBe(1)
  expect(await run(diff, `${to}..`, '--exit-code')).toMatchObject({ code: 0, printed: [] })
  expect((await run(diff, '@-1', 'timeout/t', '-o', 'table')).printed[1]).toMatch(/^Timeout default\/t +changed +conf/)
})

test('B7 rollback reports the outcome for each resource, and --dry-run shows the patch and changes nothing', async () => {
  const to = await put('t', '1s')
  const now = await put('t', '2s')
  const dry = await run(rollback, to, '--dry-run')
  expect(dry.printed).toEqual(expect.arrayContaining([`+++ Timeout default/t ${to}`, '+  connectTimeout: 1s']))
  expect((await run(diff, now)).printed).toEqual([])
  const done = await run(rollback, to, 'timeout/t', '--wait', 'served@all')
  expect(done).toMatchObject({ code: 0, notes: [] })
  expect(done.printed).toEqual([
    'Timeout default/t: changed',
    expect.stringMatching(/^revision \S+@\d+\.[0-9a-f]{16}$/),
    'no zone to wait for',
  ])
  expect((await run(diff, to)).printed).toEqual([])
  expect((await run(rollback, to)).printed[0]).toBe(`nothing differs from ${to}`)
})

test.each([
  ['a kind', () => run(history, 'timeuot/x'), /unknown kind "timeuot"; did you mean "timeout"\?/],
  ['a name', () => run(history, 'timeout/edgy'), /there is no Timeout "edgy" in mesh "default".*mean "edge"\?/],
  ['a word', () => run(history, 'timeout/a/b'), /expected KIND\/NAME, found "timeout\/a\/b"/],
  ['a range', () => run(diff, '@1..@2..@3'), /expected @a\.\.@b such as @12\.\.@15 or @-1\.\.@head/],
  ['a revision', () => run(diff, 'yesterday'), /expected a revision such as @12, @-1/],
  ['the future', () => run(rollback, '@999'), /@999 does not exist yet/],
  ['a wait', () => run(rollback, '@1', '--wait', 'soon'), /--wait: expected stored@all/],
] as const)('B8 history, diff and rollback explain wrong usage in one sentence: %s', async (_title, use, message) => {
  await put('edge', '1s')
  await expect(use()).rejects.toThrow(message)
})
