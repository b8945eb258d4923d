import { createServer } from 'node:http'
import type { RunningGlobal } from '@zonemesh/global/global.ts'
import { readOptions } from '@zonemesh/plane/config/options.ts'
import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { status } from '../src/commands/status.ts'
import { missingIn } from '../src/output/missing.ts'
import { showStatus } from '../src/output/show-status.ts'
import { clientOf, startTestGlobal, startTestZone, stoppedTestZone } from './rig.ts'

let global: RunningGlobal
let address: string

beforeEach(async () => {
  global = await startTestGlobal()
  address = `http://127.0.0.1:${global.apiPort}`
})
afterEach(() => global.close())

/** Starts `status` and captures its output. `onLine` sees each line of both outputs. */
async function run(args: readonly string[], onLine: (line: string, stop: () => void) => void = () => {}) {
  const read = readOptions(status.options, ['--address', address, ...args], {})
  if (!read.ok) throw new Error(read.error.message)
  const stop = new AbortController()
  const printed: string[] = []
  const notes: string[] = []
  const show = (lines: string[]) => (line: string) => {
    lines.push(line)
    onLine(line, () => stop.abort(new Error('stopped')))
  }
  const context = { positionals: [], signal: stop.signal, print: show(printed), note: show(notes) }
  const code = await status.run(read.value.values, context)
  return { code, printed, notes }
}

test('B74 status --wait waits until the zones are current, and names what is missing at the time limit', async () => {
  expect(await run(['--wait'])).toMatchObject({ code: 0, notes: [] })
  await stoppedTestZone(global, 'west')
  const client = clientOf(global)
  await client.need('PUT', '/zones/north', { type: 'Zone', name: 'north', enabled: true })
  const missed = await run(['--wait', '--timeout', '1ms'])
  expect(missed.code).toBe(1)
  expect(missed.printed.join('\n')).toMatch(/^west +offline/m)
  expect(missed.notes.slice(-2)).toEqual([
    'not within 1ms; missing:',
    expect.stringMatching(/^ {2}zone west is offline/),
  ])
  // The zone starts while the command waits for it.
  let starting: ReturnType<typeof startTestZone> | undefined
  const waited = await run(['--wait'], (line) => {
    if (line.startsWith('waiting: zone west is offline')) starting ??= startTestZone(global, 'west')
  })
  await (await starting)?.close()
  expect(waited.code).toBe(0)
  expect(waited.printed.join('\n')).toMatch(/^west +current/m)
})

test('B74 status --wait counts a plane that does not answer as missing, and a refusal as a failure', async () => {
  address = 'http://127.0.0.1:9'
  const { code, notes } = await run(['--wait', '--timeout', '1ms'])
  expect([code, notes.at(-1)]).toEqual([1, expect.stringContaining('cannot reach the control plane at')])
  await expect(run(['--wait', '--watch'])).rejects.toThrow('expected --wait or --watch, found both')
})

const zone = {
  ...{ zone: 'east', enabled: true, connected: true, current: true, holds: [], quarantined: [], verdicts: [] },
  ...{ revision: { served: 9 }, proxies: { connected: 2, total: 2 } },
}
const verdict = { key: 'global/MeshGatewayRoute/default/r', outcome: 'rejected', reason: 'no such cluster' }
const ofGlobal = (more: JsonObject): JsonObject => ({ role: 'global', revision: 9, zones: [{ ...zone, ...more }] })
const ofZone = (more: JsonObject): JsonObject => ({
  ...{ role: 'zone', revision: 9, uplink: { phase: 'connected', current: true }, proxies: [], ...more },
})

test.each<[string, JsonObject, readonly string[]]>([
  ['a current zone', ofGlobal({}), []],
  ['a disabled zone', ofGlobal({ enabled: false, connected: false }), []],
  ['a zone that never started', ofGlobal({ started: false, connected: false }), []],
  ['an offline zone', ofGlobal({ connected: false, reason: 'no ping' }), ['zone east is offline: no ping']],
  ['a zone that is behind', ofGlobal({ current: false }), ['zone east is behind']],
  [
    'a zone whose proxies have not answered',
    ofGlobal({ revision: { served: 8 } }),
    ['zone east serves revision 8 of 9'],
  ],
  [
    'a proxy that is gone',
    ofGlobal({ proxies: { connected: 1, total: 2 } }),
    ['zone east: 1 of 2 proxies are connected'],
  ],
  ['a held change', ofGlobal({ holds: [{ id: 'x' }] }), ['zone east is held']],
  [
    'a refusal of an Envoy',
    ofGlobal({ refused: [verdict] }),
    ['zone east: MeshGatewayRoute default/r is rejected: no such cluster'],
  ],
  ['a field that is not served yet', { ...ofGlobal({}), unserved: [{ kind: 'Mesh', name: 'm', warning: 'w' }] }, []],
  [
    'a store that takes no writes',
    { ...ofGlobal({}), storeFault: 'disk full' },
    ['the store takes no writes: disk full'],
  ],
  [
    'a row that cannot be parsed',
    { ...ofGlobal({}), unparsed: [{ kind: 'Mesh', name: 'm', reason: 'why' }] },
    ['Mesh m cannot be parsed: why'],
  ],
  ['a head that is no mark', { ...ofGlobal({}), mark: ofGlobal({})['revision'] ?? 0, revision: 99 }, []],
  ['a joined zone', ofZone({}), []],
  ['a zone without its global', ofZone({ uplink: { phase: 'waiting' } }), ['the uplink is waiting']],
  [
    'a zone that holds a change',
    ofZone({ uplink: { phase: 'connected', current: false, hold: { reason: 'many rows' } } }),
    [...['the zone is behind the global', 'a change is held: many rows']],
  ],
  [
    'a lost proxy',
    ofZone({ proxies: [{ proxy: 'east/Dataplane/default/web', state: 'lost' }] }),
    ['Dataplane default/web is lost'],
  ],
])('B74 what is missing is decided by the state of the zones and proxies: %s', (_title, body, expected) => {
  expect(missingIn(body)).toEqual(expected)
})

test('B75 status --watch shows a block for each change, and Ctrl-C ends it with exit code 0', async () => {
  const client = clientOf(global)
  let isChanged = false
  const { code, printed } = await run(['--watch'], (line, stop) => {
    if (line.startsWith('no zones') && !isChanged) {
      isChanged = true
      void client.need('PUT', '/zones/north', { type: 'Zone', name: 'north', enabled: true })
    }
    if (line.startsWith('north')) stop()
  })
  expect(code).toBe(0)
  expect(printed.map((line) => line.split(/[ ,]/)[0])).toEqual(['global', 'no', '', 'global', 'ZONE', 'north', 'not'])
})

test('B75 times alone are no change: in a pipe, status --watch prints no block for them', async () => {
  let answers = 0
  const plane = createServer((_request, response) => {
    answers += 1
    const east = { ...zone, lastProgressMsAgo: answers * 1_000, connected: answers < 4 }
    response.writeHead(200, { 'content-type': 'application/json' })
    response.end(JSON.stringify({ role: 'global', revision: 9, zones: [east] }))
  })
  await new Promise<void>((resolve) => plane.listen(0, '127.0.0.1', resolve))
  const bound = plane.address()
  address = `http://127.0.0.1:${bound !== null && typeof bound === 'object' ? bound.port : 0}`
  const { code, printed } = await run(['--watch'], (line, stop) => {
    if (/^east +offline/.test(line)) stop()
  })
  expect(code).toBe(0)
  expect(printed.filter((line) => line.startsWith('east')).map((line) => line.split(/ +/)[1])).toEqual([
    ...['current', 'offline'],
  ])
  plane.close()
  plane.closeAllConnections()
})

test('ZR7 RS6 the status of a zone shows its replicas, whose session it is, and a Redis that does not answer', () => {
  const lines: string[] = []
  const replica = (name: string, leads: boolean) => ({
    name,
    host: 'h',
    compiled: 7,
    leads,
    ...(leads ? { version: '0.2.0' } : {}),
  })
  const uplink = { phase: 'connected', current: true, revision: 24, replica: 'east-1' }
  const redis = { phase: 'away', reason: 'Command timed out', since: '2026-01-01T00:00:00.000Z' }
  const body = ofZone({ uplink, redis, replicas: [replica('east-2', false), replica('east-1', true)] })
  showStatus({ print: (line) => void lines.push(line) }, body)
  expect(lines.slice(1, 6)).toEqual([
    expect.stringMatching(/^Redis does not answer since 2026-01-01T00:00:00.000Z: Command timed out; /),
    'uplink connected, current, global revision 24, as replica east-1 reports',
    'REPLICA  ROLE     COMPILED  VERSION',
    'east-2   follows  7         -',
    'east-1   leads    7         0.2.0',
  ])
  lines.splice(0)
  showStatus({ print: (line) => void lines.push(line) }, ofZone({ replicas: [replica('east-1', true)] }))
  expect(lines.join()).not.toContain('REPLICA')
})
