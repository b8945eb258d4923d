import { readOptions } from '@zonemesh/plane/config/options.ts'
import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import { systemClock } from '@zonemesh/shared/env/clock.ts'
import { silentLog } from '@zonemesh/shared/env/log.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import { createMemoryStore } from '@zonemesh/shared/store/memory.ts'
import type { Verdict } from '@zonemesh/shared/sync/log/messages.ts'
import { expect, test } from 'vitest'
import { startGlobal } from '../src/global.ts'
import { globalOptions } from '../src/options.ts'
import { waitForReceipt } from '../src/receipt.ts'
import { startBareZone } from './bare-zone.ts'

const env = { clock: systemClock, random: systemRandom, log: silentLog }
const any = [{ match: { 'kuma.io/service': '*' } }]
const timeout = (name: string, seconds: number) => ({
  type: 'Timeout',
  mesh: 'default',
  name,
  sources: any,
  destinations: any,
  conf: { connectTimeout: `${seconds}s` },
})

/** A global with an API, and zones without proxies that join it. */
async function startOwnGlobal(stack: AsyncDisposableStack) {
  const ports = ['--api-port', '0', '--api-tls-port', '0', '--health-port', '0', '--sync-port', '0']
  const read = readOptions(globalOptions, ['--host', '127.0.0.1', ...ports], {})
  if (!read.ok) throw new Error(read.error.message)
  const global = await startGlobal(env, read.value.values, globalOptions)
  stack.defer(() => global.close())

  async function call(method: string, path: string, body?: unknown) {
    const response = await fetch(`http://127.0.0.1:${global.apiPort}${path}`, {
      method,
      ...(body === undefined ? {} : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
    })
    const { status, headers } = response
    return { status, text: await response.text(), revision: headers.get('zonemesh-revision') ?? '' }
  }

  async function joinZone(zone: string, verdicts: () => readonly Verdict[] = () => []) {
    await call('PUT', `/zones/${zone}`, { type: 'Zone', name: zone })
    const token = (await call('POST', '/tokens/zone', { zone, scope: ['cp'], validFor: '1h' })).text.trim()
    const store = createMemoryStore(env, { horizonRevisions: 1000 })
    return stack.use(startBareZone(global, { zone, token, store, isServing: true, verdicts }))
  }
  return { call, joinZone }
}

test('R31 a receipt is refused by a verdict on a row of its commit or by a new verdict, not by an older verdict on another row', async () => {
  await using stack = new AsyncDisposableStack()
  const { call, joinZone } = await startOwnGlobal(stack)
  const verdictOf = (name: string, outcome: Verdict['outcome'] = 'rejected'): Verdict => ({
    key: `global/Timeout/default/${name}`,
    revision: 0,
    outcome,
    reason: 'cannot be encoded',
    subject: '',
  })
  let verdicts: readonly Verdict[] = []

  /** Writes a Timeout and waits until the zone serves it. */
  async function write(name: string, seconds: number, zones = 'all') {
    const { revision } = await call('PUT', `/meshes/default/timeouts/${name}`, timeout(name, seconds))
    const receipt = await call('GET', `/_receipts/${encodeURIComponent(revision)}?wait=served@${zones}&timeout=5s`)
    return JSON.parse(receipt.text)
  }

  await joinZone('east', () => verdicts)
  expect(await write('good', 1, 'east')).toMatchObject({ complete: true })

  verdicts = [verdictOf('huge')]
  const reason = 'Timeout/default/huge: cannot be encoded'
  expect(await write('huge', 1)).toMatchObject({ complete: false, zones: [{ zone: 'east', state: 'refused', reason }] })
  verdicts = [verdictOf('huge'), verdictOf('poison', 'quarantined')]
  expect(await write('poison', 1)).toMatchObject({
    complete: false,
    zones: [{ zone: 'east', state: 'refused', reason: 'Timeout/default/poison: cannot be encoded' }],
  })
  verdicts = [verdictOf('huge')]
  // The old verdict remains, and the new revision is served.
  expect(await write('good', 2)).toMatchObject({ complete: true, zones: [{ zone: 'east', state: 'reached' }] })
  expect(await write('huge', 2)).toMatchObject({ complete: false, zones: [{ state: 'refused', reason }] })
  const { zones } = JSON.parse((await call('GET', '/_status')).text)
  expect(zones[0].verdicts).toMatchObject([{ key: 'global/Timeout/default/huge', reason: 'cannot be encoded' }])
})

test('R60 a receipt of all zones waits for those that are online, and lists the others with the reason', async () => {
  await using stack = new AsyncDisposableStack()
  const { call, joinZone } = await startOwnGlobal(stack)
  const receiptOf = async (wait: string, revision: string) => {
    const query = `wait=${wait}&timeout=${wait.endsWith('every') ? '100ms' : '5s'}`
    const { status, text } = await call('GET', `/_receipts/${encodeURIComponent(revision)}?${query}`)
    return { status, ...JSON.parse(text) }
  }
  const write = async (name: string) =>
    (await call('PUT', `/meshes/default/timeouts/${name}`, timeout(name, 1))).revision

  await call('PUT', '/zones/north', { type: 'Zone', name: 'north' })
  await call('PUT', '/zones/off', { type: 'Zone', name: 'off', enabled: false })
  const notStarted = {
    zone: 'north',
    state: 'not-started',
    reason: 'not awaited: no control plane has joined as this zone',
  }
  // No zone has the revision, so the wait is not complete.
  expect(await receiptOf('stored@all', await write('a'))).toMatchObject({ complete: false, zones: [notStarted] })

  await joinZone('east')
  const west = await joinZone('west')
  // The zones have joined when both have stored a revision.
  expect(await receiptOf('stored@east,west', await write('b'))).toMatchObject({ complete: true })
  await west[Symbol.asyncDispose]()
  const revision = await write('c')
  expect(await receiptOf('served@all', revision)).toMatchObject({
    complete: true,
    zones: [
      { zone: 'east', state: 'reached' },
      notStarted,
      { zone: 'west', state: 'offline', reason: expect.stringMatching(/^not awaited: ./) },
    ],
  })
  const every = await receiptOf('served@every', revision)
  expect(every.complete).toBe(false)
  expect(every.zones.map((one: { state: string }) => one.state)).toEqual(['reached', 'pending', 'pending'])

  const refused = await receiptOf('served@est', revision)
  expect([refused.status, refused.detail]).toEqual([
    400,
    'wait: there is no enabled zone "est"; did you mean "east"? (there are: east, north, west)',
  ])
  expect((await receiptOf('served@off', revision)).status).toBe(400)

  const { zones } = JSON.parse((await call('GET', '/_status')).text)
  expect(zones.find((one: { zone: string }) => one.zone === 'north')).toMatchObject({
    started: false,
    connected: false,
  })
})

test('R86 a receipt of a Secret or of a gateway that names it waits for the certificates that zones receive', async () => {
  const store = createMemoryStore(env, { horizonRevisions: 6 })
  const write = async (kind: string, name: string, spec: JsonObject): Promise<number> => {
    const key = { origin: 'global', kind, mesh: kind === 'Zone' ? '' : 'default', name }
    const outcome = await store.commit({ changes: [{ op: 'put', key, labels: {}, spec }], subject: '', intent: '' })
    return outcome.ok ? outcome.position.revision : 0
  }
  const awaited: number[] = []
  const waitFor = async ({ revision }: { readonly revision: number }) => {
    awaited.push(revision)
    return []
  }
  let derived = async (): Promise<void> => undefined
  const receiptOf = (revision: number) =>
    waitForReceipt(
      { store, sync: { zones: () => new Map(), waitFor }, derived: () => derived() },
      { revision, level: 'served', zones: 'online', timeoutMs: 0 },
    )
  const certificate = (problem: string) =>
    write('GatewayCertificate', 'web.east', { secret: 'web', zone: 'east', problem })
  const certificates = [{ secret: 'web' }]
  const tls = { mode: 'TERMINATE', certificates }
  const listener = { port: 443, protocol: 'HTTPS', tls, tags: {} }
  const gateway = await write('MeshGateway', 'edge', { selectors: [], conf: { listeners: [listener] } })
  const first = await certificate('none')
  const other = await write('Secret', 'other', { sealed: '' })
  const secret = await write('Secret', 'web', { sealed: '' })
  let second = 0
  derived = async () => {
    second ||= await certificate('expired')
  }
  for (const revision of [secret, gateway, other]) await receiptOf(revision)
  expect(first).toBeLessThan(secret)
  expect(awaited).toEqual([second, second, other])
  // The history no longer has the commit of the gateway.
  for (let count = 0; count < 20; count += 1) await write('Secret', 'other', { sealed: String(count) })
  await receiptOf(gateway)
  expect(awaited.at(-1)).toBe(gateway)
})
