import { readOptions } from '@zonemesh/plane/config/options.ts'
import { createVirtualClock, systemClock } from '@zonemesh/shared/env/clock.ts'
import { silentLog } from '@zonemesh/shared/env/log.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import { createMemoryStore } from '@zonemesh/shared/store/memory.ts'
import type { Store } from '@zonemesh/shared/store/store.ts'
import { expect, test } from 'vitest'
import { startGlobal } from '../src/global.ts'
import { globalOptions } from '../src/options.ts'
import { startBareZone } from './bare-zone.ts'

/** A store that takes no large round before its gate is open. */
function gated(store: Store): { readonly store: Store; readonly waits: Promise<void>; open(): void } {
  const [gate, waits] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  const commitRound: Store['commitRound'] = async (parts, options) => {
    if (parts.some(({ changes }) => changes.length > 100)) {
      waits.resolve()
      await gate.promise
    }
    return store.commitRound(parts, options)
  }
  return { store: { ...store, commitRound }, waits: waits.promise, open: () => gate.resolve() }
}

const timeouts = (name: string, count: number) =>
  Array.from({ length: count }, (_, index) => ({
    type: 'Timeout',
    mesh: 'default',
    name: `${name}-${index}`,
    sources: [{ match: { 'kuma.io/service': '*' } }],
    destinations: [{ match: { 'kuma.io/service': '*' } }],
    conf: { connectTimeout: '1s' },
  }))

test('Y18 the API answers a large commit when zones are nearly up to date, and a small commit at once', async () => {
  const ports = ['--api-port', '0', '--api-tls-port', '0', '--health-port', '0', '--sync-port', '0']
  const read = readOptions(globalOptions, ['--host', '127.0.0.1', ...ports], {})
  if (!read.ok) throw new Error(read.error.message)
  // Its time stands still: no wait of it ends by itself.
  const clock = createVirtualClock(Date.now())
  const global = await startGlobal({ clock, random: systemRandom, log: silentLog }, read.value.values, globalOptions)
  await using stack = new AsyncDisposableStack()
  stack.defer(() => global.close())
  const api = `http://127.0.0.1:${global.apiPort}`
  async function post(path: string, body: unknown): Promise<string> {
    const response = await fetch(`${api}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
    const text = await response.text()
    expect(response.status, text).toBe(200)
    return text
  }
  const write = (name: string, count: number) => post('/_commit', { documents: timeouts(name, count) })
  await post('/_commit', { documents: [{ type: 'Zone', name: 'east', enabled: true }] })
  const token = (await post('/tokens/zone', { zone: 'east', scope: ['cp'], validFor: '1h' })).trim()
  const zone = gated(createMemoryStore({ clock: systemClock, random: systemRandom }, { horizonRevisions: 1000 }))
  const uplink = stack.use(startBareZone(global, { zone: 'east', token, store: zone.store }))
  for await (const { phase } of uplink.state.watch(AbortSignal.timeout(5_000))) if (phase === 'connected') break
  await write('first', 600)
  await zone.waits
  const answered: string[] = []
  const large = write('second', 600).then(() => answered.push('large'))
  const isStored = async () => /"total": ?1200\b/.test(await (await fetch(`${api}/timeouts?size=1`)).text())
  while (!(await isStored())) await new Promise((resolve) => setImmediate(resolve))
  await write('by-hand', 1)
  answered.push('small')
  zone.open()
  await large
  expect(answered).toEqual(['small', 'large'])
})
