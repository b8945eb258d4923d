import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type RunningGlobal, startGlobal } from '@zonemesh/global/global.ts'
import { globalOptions } from '@zonemesh/global/options.ts'
import { type Options, readOptions } from '@zonemesh/plane/config/options.ts'
import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import { systemClock } from '@zonemesh/shared/env/clock.ts'
import { silentLog } from '@zonemesh/shared/env/log.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createClient } from '../src/base/client.ts'
import type { Command } from '../src/base/command.ts'
import { remove } from '../src/commands/delete.ts'
import { status } from '../src/commands/status.ts'
import { zoneKeep, zoneRelease } from '../src/commands/zone-guards.ts'
import { duration, showStatus } from '../src/output/show-status.ts'

let global: RunningGlobal
let address: string
let folder: string

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'zonemesh-guards-'))
  const ports = ['--api-port', '0', '--api-tls-port', '0', '--health-port', '0', '--sync-port', '0']
  const read = readOptions(globalOptions, ['--host', '127.0.0.1', ...ports], {})
  if (!read.ok) throw new Error(read.error.message)
  global = await startGlobal(
    { clock: systemClock, random: systemRandom, log: silentLog },
    read.value.values,
    globalOptions,
  )
  address = `http://127.0.0.1:${global.apiPort}`
})
afterEach(async () => {
  await global.close()
  rmSync(folder, { recursive: true, force: true })
})

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
  return { code, printed, notes }
}

const client = () => createClient({ address, token: undefined, tokenFile: undefined, caCertFile: undefined })
const match = [{ match: { 'kuma.io/service': '*' } }]
const conf = { connectTimeout: '1s' }
const timeout = (name: string) => ({
  type: 'Timeout',
  mesh: 'default',
  name,
  sources: match,
  destinations: match,
  conf,
})
const names = Array.from({ length: 20 }, (_, index) => `t${String(index).padStart(2, '0')}`)

async function putTimeouts(): Promise<void> {
  await client().need('POST', '/_commit', { documents: names.map(timeout) })
}
async function left(): Promise<number> {
  // The plane answers with its own list type.
  return ((await client().need('GET', '/timeouts')).json as { total: number }).total
}

test('B10 delete accepts several names or files in one commit, and removes nothing if one resource does not exist', async () => {
  await putTimeouts()
  const both = await run(remove, 'timeout', 't00', 't01')
  expect(both.printed).toEqual([
    'Timeout default/t00: deleted',
    'Timeout default/t01: deleted',
    expect.stringMatching(/^revision /),
  ])
  const one = await run(remove, 'timeout', 't02', 'none')
  expect([one.code, one.notes]).toEqual([1, ['Timeout default/none: refused: Not found', 'nothing was deleted']])
  const file = join(folder, 'old.yaml')
  writeFileSync(
    file,
    'type: Timeout\nmesh: default\nname: t02\n---\ntype: Timeout\nmesh: default\nname: t03\nconf: {}\n',
  )
  expect((await run(remove, '-f', file)).code).toBe(0)
  expect((await run(remove, 'timeout', 't04')).printed[0]).toBe('Timeout default/t04: deleted')
  expect(await left()).toBe(15)
})

test('B10 delete refuses to remove very many resources and lists them, unless --yes-remove-many is given', async () => {
  await putTimeouts()
  await expect(run(remove, 'timeout', ...names)).rejects.toThrow(
    /^Many resources would be removed: this commit removes 20 of 20 Timeout, [^\n]*--yes-remove-many\n {2}Timeout default\/t00: would be removed\n/,
  )
  expect(await left()).toBe(20)
  expect((await run(remove, 'timeout', ...names, '--yes-remove-many')).code).toBe(0)
  expect(await left()).toBe(0)
})

test.each([
  ['no name', ['timeout']],
  ['nothing', []],
  ['both', ['timeout', 'a', '-f', 'x']],
] as const)('B10 delete explains wrong usage in one sentence: %s', async (_title, args) => {
  await expect(run(remove, ...args)).rejects.toThrow('expected KIND NAME, or -f FILE')
})

test('B11 zone release and zone keep explain why there is nothing to do', async () => {
  await expect(run(zoneRelease, 'east')).rejects.toThrow('there is no Zone "east"')
  await client().need('PUT', '/zones/east', { type: 'Zone', name: 'east' })
  await expect(run(zoneRelease, 'east', '--hold', 'x')).rejects.toThrow(
    /is not connected .*: run the command against the zone itself/,
  )
  await expect(run(zoneKeep, 'east')).rejects.toThrow(/nothing remains of a former store of zone "east"/)
})

function shown(body: JsonObject): string[] {
  const lines: string[] = []
  showStatus({ print: (line) => void lines.push(line) }, body)
  return lines
}

const zone = (name: string, more: JsonObject): JsonObject => ({
  zone: name,
  enabled: true,
  connected: true,
  current: false,
  epoch: 3,
  host: 'box',
  revision: { head: 9, sent: 9, stored: 9, served: 8 },
  lagRevisions: 0,
  lagMs: 0,
  lastProgressMsAgo: 2500,
  holds: [],
  quarantined: [],
  proxies: { connected: 1, total: 2, silent: [] },
  ...more,
})

test('B12 status shows the state of each zone in one word, and lists what needs an operator together with the command', () => {
  const hold = {
    id: 'commit:7.9',
    origin: 'global',
    reason: 'revision 9 of the global removes 19 of 20 Timeout',
    removals: 19,
  }
  const wrong = { reason: 'expected the global whose store is a', code: 'wrong-global', msAgo: 1000 }
  const other = { reason: 'another control plane runs as this zone: box', code: 'held-by-another', msAgo: 4000 }
  const lines = shown({
    role: 'global',
    store: 's',
    revision: 9,
    zones: [
      zone('a', { current: true }),
      zone('b', { lagRevisions: 4, lagMs: 65_000 }),
      zone('c', { lagRevisions: 1, lagMs: 1000, holds: [hold] }),
      zone('d', { connected: false, lastEnd: wrong, reason: wrong.reason }),
      zone('e', { current: true, lastEnd: other, remains: { rows: 7, expiresInMs: 250_000 } }),
      { zone: 'f', enabled: true, connected: false, current: false, reason: 'never seen' },
      zone('g', { enabled: false }),
      zone('h', { current: true, lastEnd: { ...other, msAgo: 900_000 } }),
    ],
  })
  expect(lines.slice(1, 10).map((line) => line.split(/ {2,}/).slice(0, 6).join('|'))).toEqual([
    'ZONE|STATE|STORED|SERVED|BEHIND|PROGRESS',
    'a|current|9|8|nothing|3s',
    'b|behind|9|8|4 revisions, 1m 5s|3s',
    'c|held|9|8|1 revision, 1s|3s',
    'd|refused|9|8|nothing|3s',
    'e|current|9|8|nothing|3s',
    'f|offline|-|-|-|-',
    'g|disabled|9|8|nothing|3s',
    'h|current|9|8|nothing|3s',
  ])
  expect(lines.slice(10)).toEqual([
    'held in c: revision 9 of the global removes 19 of 20 Timeout; 19 rows would be removed; release it with: zonemesh zone release c --hold commit:7.9',
    'remains of a former store of e: 7 rows, which are removed in 4m 10s; keep them with: zonemesh zone keep e',
    'refused 4s ago: a session of zone e: another control plane runs as this zone: box',
  ])
})

test('B12 status of a zone shows the state of its session with the global', () => {
  const uplink = { phase: 'connected', reason: '', revision: 12, current: true, bookmarkMsAgo: 400 }
  const line = (more: object) =>
    shown({ role: 'zone', zone: 'east', store: 's', revision: 3, uplink: { ...uplink, ...more } })[1]
  expect(line({})).toBe('uplink connected, current, global revision 12, confirmed 400ms ago')
  expect(line({ current: false })).toBe('uplink connected, behind, global revision 12, confirmed 400ms ago')
  expect(line({ phase: 'refused', reason: 'no', current: false })).toBe(
    'uplink refused: no; global revision 12, confirmed 400ms ago',
  )
})

test('B12 status -o json prints the response of the API unchanged', async () => {
  const { printed } = await run(status, '-o', 'json')
  expect(JSON.parse(printed.join('\n'))).toMatchObject({ role: 'global', zones: [] })
})

test('B12 status shows durations in their two largest units', () => {
  expect([0, 999, 1500, 59_000, 60_000, 250_000, 7_300_000, -1, undefined].map(duration)).toEqual([
    '0ms',
    '999ms',
    '2s',
    '59s',
    '1m',
    '4m 10s',
    '2h',
    '-',
    '-',
  ])
})
