import { mkdtempSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isBoolean, type Option, readOptions } from '@zonemesh/plane/config/options.ts'
import { expect, test } from 'vitest'
import { forbiddenIn } from '../../../test/messages.ts'
import { type Command, CommandError } from '../src/base/command.ts'
import { loadCommands } from '../src/command-line.ts'

const commands = await loadCommands()

const badValues = [
  ...['', ' ', '-1', '0', '1.5', '1e3', '0x10', 'NaN', 'Infinity', 'many', 'maybe', '9'.repeat(30), '1e400'],
  ...[
    'undefined',
    'null',
    '{}',
    '[object Object]',
    '10d5',
    '../..',
    'a=b',
    '=b',
    'http://',
    'x'.repeat(5_000),
    '\u0000',
  ],
]
const flagOf = (name: string): string => `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`
const variableOf = (name: string): string => `ZONEMESH_${flagOf(name).slice(2).replaceAll('-', '_').toUpperCase()}`

/** Words that make the other arguments of a command right. */
const required: Readonly<Record<string, readonly string[]>> = {
  apply: ['--file', '/nowhere.yaml'],
  validate: ['--file', '/nowhere.yaml'],
  explain: ['--from', 'east/gateway'],
  doctor: ['--from', 'east/gateway'],
  'context add': ['--address', 'http://127.0.0.1:9'],
  'chaos relay': ['--line', 'a=b:1', '--target', 'b:1', '--control', 'b:1', '--token-file', '/nowhere'],
}

interface Case {
  readonly command: Command
  readonly name: string
  readonly setting: Option
  readonly value: string
}

const cases: readonly Case[] = commands.flatMap((command) =>
  Object.entries(command.options).flatMap(([name, setting]) =>
    // The value itself is shown, so it must not be one of the forbidden words.
    badValues.map((value) => ({ command, name, setting, value })),
  ),
)
const withoutValue = (message: string, value: string): string =>
  value === '' ? message : message.replaceAll(value, '…')

test('B17 no value of an option yields the words of a library, and a refused one is named with its source', () => {
  expect(cases.length).toBeGreaterThan(3_000)
  for (const { command, name, setting, value } of cases) {
    const given = [...(required[command.name] ?? []), `${flagOf(name)}=${value}`]
    const byFlag = readOptions(command.options, given, {})
    const byVariable = readOptions(command.options, required[command.name] ?? [], { [variableOf(name)]: value })
    for (const [read, source] of [
      [byFlag, flagOf(name)],
      [byVariable, variableOf(name)],
    ] as const) {
      if (read.ok) continue
      const { message } = read.error
      expect([command.name, source, value, forbiddenIn(withoutValue(message, value))]).toEqual([
        ...[command.name, source, value, []],
      ])
      if (!message.startsWith('configuration file ')) expect(message).toMatch(new RegExp(`^${source}: expected .`))
      if (!setting.secret && !isBoolean(setting))
        expect(message.replaceAll('\u0000', '')).toContain(value.replaceAll('\u0000', ''))
    }
  }
})

test('B17 a value of a file that has another type is named with the file', () => {
  for (const command of commands)
    for (const [name, setting] of Object.entries(command.options))
      for (const value of [null, [], {}, { a: 1 }, [1], Number.NaN, -1, true]) {
        const parsed = setting.schema.safeParse(value, { error: () => 'OURS' })
        for (const { message } of parsed.error?.issues ?? [])
          expect([command.name, name, forbiddenIn(message)]).toEqual([command.name, name, []])
      }
})

/** Starts no process and no listener, and stops without a plane. */
const runsAlone = new Set(
  commands
    .map(({ name }) => name)
    .filter(
      (name) =>
        !/^(init|up|down|logs|echo|global|zone|dataplane|demo|chaos .*|context .*|resolve|edit|dump|sync|sysdump)$/.test(
          name,
        ),
    ),
)

async function outcomeOf(command: Command, args: readonly string[], positionals: readonly string[]): Promise<string> {
  const read = readOptions(command.options, args, {})
  if (!read.ok) return read.error.message
  const lines: string[] = []
  try {
    const show = (line: string) => void lines.push(line)
    await command.run(read.value.values, { positionals, signal: AbortSignal.abort(), print: show, note: show })
  } catch (thrown) {
    // The command line shows only the message.
    lines.push(thrown instanceof Error ? thrown.message : String(thrown))
    if (!(thrown instanceof CommandError)) lines.push(`${command.name}: unexpected ${String(thrown)}`)
  }
  return lines.join('\n')
}

/** Arguments that pass the checks of a command before it calls a plane. */
const positionalsOf = ({ name, arity }: Command): readonly string[] => {
  if (name === 'diff' || name === 'rollback') return ['@-1']
  if (name === 'explain' || name === 'doctor') return ['http://shop.example/']
  if (name === 'get') return ['mesh']
  if (name === 'describe') return ['mesh', 'default']
  if (name === 'delete') return ['mesh', 'default']
  return Array.from({ length: arity.min }, () => 'east')
}

test('B17 a client command explains a value that only it can judge', { timeout: 120_000 }, async () => {
  expect(runsAlone.size).toBeGreaterThan(14)
  const closed = 'http://127.0.0.1:9'
  const failures: object[] = []
  for (const { command, name, value } of cases.filter(({ command }) => runsAlone.has(command.name))) {
    if (name === 'out' || (name === 'file' && value === '-')) continue
    const address = 'address' in command.options && name !== 'address' ? ['--address', closed] : []
    const file = command.name === 'delete' && name === 'file' ? [] : positionalsOf(command)
    const args = [...(required[command.name] ?? []), ...address, `${flagOf(name)}=${value}`]
    const text = await outcomeOf(command, args, file)
    const words = forbiddenIn(withoutValue(text, value))
    if (words.length > 0)
      failures.push({ command: command.name, name, value: value.slice(0, 30), words, text: text.slice(0, 200) })
  }
  expect(failures).toEqual([])
})

const page = `<!DOCTYPE html><html><head><style>body { color: red }</style><title>502 Bad Gateway</title></head>
<body><h1>502 Bad Gateway</h1>\n<p>${'long '.repeat(100)}</p></body></html>`

test('B18 an answer of something else than a control plane is reported with its status, its type and its first text', async () => {
  let answer: { status: number; type: string | undefined; body: string } = { status: 200, type: undefined, body: '' }
  const server = createServer((_request, response) => {
    response.writeHead(answer.status, answer.type === undefined ? {} : { 'content-type': answer.type }).end(answer.body)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const bound = server.address()
  const address = `http://127.0.0.1:${bound !== null && typeof bound === 'object' ? bound.port : 0}`
  const file = join(mkdtempSync(join(tmpdir(), 'zonemesh-page-')), 'mesh.yaml')
  writeFileSync(file, 'type: Mesh\nname: shop\n')
  const clients = commands.filter(
    ({ name, options }) => runsAlone.has(name) && 'address' in options && name !== 'version',
  )
  expect(clients.length).toBeGreaterThan(12)
  for (const [status, type, body, shown] of [
    [
      502,
      'text/html; charset=utf-8',
      page,
      'it answered 502 with text/html, "502 Bad Gateway 502 Bad Gateway long long',
    ],
    [404, 'text/html', page, 'it answered 404 with text/html, "502'],
    [200, 'text/html', page, 'it answered 200 with text/html, "502'],
    [200, undefined, '', 'it answered 200 with no content type'],
    [200, 'application/json', '{', 'it answered 200 with application/json that is not JSON, "{"'],
    [200, 'application/json', '{}', 'does not look like a control plane'],
    [200, 'application/json', 'null', 'does not look like a control plane'],
    [200, 'application/json', '[]', 'does not look like a control plane'],
  ] as const) {
    answer = { status, type, body }
    for (const command of clients) {
      // These need no content of the answer.
      if (status === 200 && type === 'application/json' && /^(token|zone keep|get)/.test(command.name)) continue
      const args = [...(required[command.name] ?? []), '--address', address]
      const text = await outcomeOf(
        command,
        command.name === 'apply' ? ['--address', address, '--file', file] : args,
        positionalsOf(command),
      )
      expect([command.name, status, body.slice(0, 9), forbiddenIn(text), text]).toEqual([
        ...[command.name, status, body.slice(0, 9), [], expect.stringContaining(shown)],
      ])
    }
  }
  server.close()
})
