import { readOptions } from '@zonemesh/plane/config/options.ts'
import { systemClock } from '@zonemesh/shared/env/clock.ts'
import { silentLog } from '@zonemesh/shared/env/log.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import { createMemoryStore } from '@zonemesh/shared/store/memory.ts'
import type { Verdict } from '@zonemesh/shared/sync/log/messages.ts'
import { expect, test } from 'vitest'
import { startGlobal } from '../src/global.ts'
import { globalOptions } from '../src/options.ts'
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

test('R31 a receipt is refused by a verdict on a row of its commit or by a new verdict, not by an older verdict on another row', async () => {
  const ports = ['--api-port', '0', '--api-tls-port', '0', '--health-port', '0', '--sync-port', '0']
  const read = readOptions(globalOptions, ['--host', '127.0.0.1', ...ports], {})
  if (!read.ok) throw new Error(read.error.message)
  const global = await startGlobal(env, read.value.values, globalOptions)
  await using stack = new AsyncDisposableStack()
  stack.defer(() => global.close())
  const verdictOf = (name: string, outcome: Verdict['outcome'] = 'rejected'): Verdict => ({
    key: `global/Timeout/default/${name}`,
    revision: 0,
    outcome,
    reason: 'cannot be encoded',
    subject: '',
  })
  let verdicts: readonly Verdict[] = []

  async function call(method: string, path: string, body?: unknown) {
    const response = await fetch(`http://127.0.0.1:${global.apiPort}${path}`, {
      method,
      ...(body === undefined ? {} : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
    })
    return { text: await response.text(), revision: response.headers.get('zonemesh-revision') ?? '' }
  }
  /** Writes a Timeout and waits until the zone serves it. */
  async function write(name: string, seconds: number) {
    const { revision } = await call('PUT', `/meshes/default/timeouts/${name}`, timeout(name, seconds))
    const receipt = await call('GET', `/_receipts/${encodeURIComponent(revision)}?wait=served@all&timeout=5s`)
    return JSON.parse(receipt.text)
  }

  await call('PUT', '/zones/east', { type: 'Zone', name: 'east' })
  const token = (await call('POST', '/tokens/zone', { zone: 'east', scope: ['cp'], validFor: '1h' })).text.trim()
  const store = createMemoryStore(env, { horizonRevisions: 1000 })
  stack.use(startBareZone(global, { zone: 'east', token, store, isServing: true, verdicts: () => verdicts }))
  expect(await write('good', 1)).toMatchObject({ complete: true })

  verdicts = [verdictOf('huge')]
  const reason = 'Timeout/default/huge: cannot be encoded'
  expect(await write('huge', 1)).toMatchObject({ complete: false, zones: [{ zone: 'east', state: 'refused', reason }] })
  verdicts = [verdictOf('huge'), verdictOf('poison', 'quarantined')]
  expect(await write('poison', 1)).toMatchObject({
    complete: false,
    zones: [{ zone: 'east', state: 'refused', reason: 'Timeout/default/poison: cannot be encoded' }],
  })
  verdicts = [verdictOf('huge')]
  // The verdict stands; what was written now is served.
  expect(await write('good', 2)).toMatchObject({ complete: true, zones: [{ zone: 'east', state: 'reached' }] })
  expect(await write('huge', 2)).toMatchObject({ complete: false, zones: [{ state: 'refused', reason }] })
  const { zones } = JSON.parse((await call('GET', '/_status')).text)
  expect(zones[0].verdicts).toMatchObject([{ key: 'global/Timeout/default/huge', reason: 'cannot be encoded' }])
})
