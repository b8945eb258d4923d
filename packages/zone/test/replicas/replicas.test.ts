import { createVirtualClock } from '@zonemesh/shared/env/clock.ts'
import { silentLog } from '@zonemesh/shared/env/log.ts'
import { createSeededRandom } from '@zonemesh/shared/env/random.ts'
import { createMemoryContents, createMemoryStore } from '@zonemesh/shared/store/memory.ts'
import { expect, test } from 'vitest'
import {
  proxiesOf,
  proxyOf,
  type ReplicaProxy,
  type ReplicaState,
  servedTogether,
  usedTogether,
} from '../../src/replicas/replica.ts'
import { joinReplicas } from '../../src/replicas/replicas.ts'

const settle = async () => {
  for (let turn = 0; turn < 60; turn += 1) await Promise.resolve()
}

const proxy = (changes: Partial<ReplicaProxy> = {}): ReplicaProxy => ({
  isConnected: true,
  isLeased: true,
  sinceMs: 1,
  served: 0,
  reason: '',
  insight: {},
  ...changes,
})

/** Replicas of a zone over one store, each with its own clock: a replica whose clock stands still is paused. */
function createZone() {
  const deps = { clock: createVirtualClock(), random: createSeededRandom(1) }
  const contents = createMemoryContents(deps)
  const notes = () => [...contents.notes.keys()].sort()
  function start(instance: string) {
    const clock = createVirtualClock(1_000)
    const proxies = new Map<string, ReplicaProxy>()
    const state: { served: number; fails: boolean; writes: number } = { served: 1, fails: false, writes: 0 }
    const own = (): ReplicaState => ({
      ...{ host: instance, compiled: 9, served: state.served, silent: [], lost: [], verdicts: [] },
      uses: { default: { generation: 1, trusts: ['r'], shows: ['r'] } },
    })
    const store = createMemoryStore(deps, { contents })
    const counted = {
      notes: {
        read: store.notes.read,
        onWake: store.notes.onWake,
        async put(entries: Parameters<typeof store.notes.put>[0]) {
          state.writes += 1
          await store.notes.put(entries)
          if (state.fails) throw new Error('the answer is lost')
        },
      },
    }
    const replicas = joinReplicas({ store: counted, clock, log: silentLog }, instance, {
      state: own,
      proxies: () => proxies,
    })
    const streams: string[] = []
    replicas.onStream(
      (one) =>
        void streams.push(
          `${one.isOpen ? '+' : '-'}${one.proxy}@${one.instance}${one.isLeased ? '' : ' without lease'}`,
        ),
    )
    return { clock, proxies, state, replicas, streams }
  }
  return { start, notes }
}

async function run(all: readonly { clock: ReturnType<typeof createVirtualClock> }[], ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 250) {
    for (const { clock } of all) clock.advance(250)
    await settle()
  }
}

test('ZR7 each replica knows what the others serve and which proxies they have, and a paused one is gone after 3 s', async () => {
  const zone = createZone()
  const [one, two] = [zone.start('one'), zone.start('two')]
  one.proxies.set('a', proxy())
  one.replicas.changed()
  await run([one, two], 1_500)
  expect(two.replicas.others()).toMatchObject([{ instance: 'one', served: 1 }])
  expect(two.replicas.others()[0]?.proxies.get('a')).toEqual(proxy())
  one.state.served = 7
  await run([one, two], 500)
  expect(two.replicas.others()[0]?.served).toBe(7)
  await run([two], 2_750)
  expect(two.replicas.others()).toHaveLength(1)
  await run([two], 500)
  expect(two.replicas.others()).toEqual([])
  await run([one, two], 1_500)
  expect(two.replicas.others()[0]?.proxies.get('a')).toEqual(proxy())
})

test('ZR8 each replica follows the streams at the others: opened, ended, and lost with their replica', async () => {
  const zone = createZone()
  const [one, two] = [zone.start('one'), zone.start('two')]
  one.proxies.set('a', proxy()).set('b', proxy({ isLeased: false }))
  one.replicas.changed()
  await run([one, two], 1_500)
  expect(two.streams.sort()).toEqual(['+a@one', '+b@one without lease'])
  one.proxies.set('a', proxy({ isConnected: false }))
  one.replicas.changed()
  await run([one, two], 1_500)
  expect(two.streams.slice(2)).toEqual(['-a@one'])
  await run([two], 3_500)
  expect(two.streams.slice(3)).toEqual(['-b@one without lease'])
  await run([one, two], 1_500)
  expect(two.streams.slice(4)).toEqual(['+b@one without lease'])
})

test('ZR7 a note from before the start of a replica counts only after its next beat', async () => {
  const zone = createZone()
  const one = zone.start('one')
  await run([one], 500)
  const two = zone.start('two')
  await run([two], 2_000)
  expect(two.replicas.others()).toEqual([])
  await run([one, two], 1_500)
  expect(two.replicas.others()).toHaveLength(1)
})

test('ZR7 a publication whose answer was lost is read, and the next change of the same page as well', async () => {
  const zone = createZone()
  const [one, two] = [zone.start('one'), zone.start('two')]
  one.proxies.set('a', proxy({ served: 1 }))
  one.replicas.changed()
  await run([one, two], 1_500)
  one.state.fails = true
  one.proxies.set('a', proxy({ served: 2 }))
  one.replicas.changed()
  await run([one, two], 1_250)
  one.state.fails = false
  one.proxies.set('a', proxy({ served: 3 }))
  one.replicas.changed()
  await run([one, two], 1_500)
  expect(two.replicas.others()[0]?.proxies.get('a')?.served).toBe(3)
})

test('ZR7 a replica without changes publishes one beat a second, and one that stops removes its notes', async () => {
  const zone = createZone()
  const [one, two] = [zone.start('one'), zone.start('two')]
  one.proxies.set('a', proxy())
  await run([one, two], 2_000)
  one.state.writes = 0
  await run([one, two], 5_000)
  expect(one.state.writes).toBe(5)
  await one.replicas[Symbol.asyncDispose]()
  expect(zone.notes()).toEqual(['zone-replica/two'])
  await run([two], 62_000)
  const three = zone.start('three')
  await run([three], 250)
  await run([two, three], 62_000)
  expect(zone.notes()).toEqual(['zone-replica/three', 'zone-replica/two'])
  await run([two], 62_000)
  expect(zone.notes()).toEqual(['zone-replica/two'])
})

test('ZR10 roots in use at a replica that is gone count until its Envoys have returned', async () => {
  const zone = createZone()
  const [one, two] = [zone.start('one'), zone.start('two')]
  await run([one, two], 1_500)
  await run([two], 30_000)
  expect([two.replicas.others().length, two.replicas.otherUses('default').length]).toEqual([0, 1])
  await run([two], 6_000)
  expect(two.replicas.otherUses('default')).toEqual([])
})

test('ZR10 a root counts as trusted if all replicas trust it, and as shown if one shows it', () => {
  const own = { generation: 3, trusts: ['a', 'b'], shows: ['b'] }
  expect(usedTogether(own, [])).toEqual(own)
  expect(usedTogether(own, [{ generation: 2, trusts: ['b', 'c'], shows: ['a'] }])).toEqual({
    generation: 2,
    trusts: ['b'],
    shows: ['a', 'b'],
  })
})

test('ZR7 a mark is served when every replica serves it, and a verdict of two replicas counts once', () => {
  const verdict = (key: string) => ({ key, revision: 0, outcome: 'rejected' as const, reason: 'r', subject: 'p' })
  const other = { ...{ instance: 'o', host: 'o', compiled: 9, lost: [], uses: {}, proxies: new Map() }, served: 4 }
  const together = servedTogether({ mark: 6, silent: ['b'], verdicts: [verdict('x')] }, [
    { ...other, silent: ['a', 'b'], verdicts: [verdict('x'), verdict('y')] },
  ])
  expect(together).toEqual({ mark: 4, silent: ['a', 'b'], verdicts: [verdict('x'), verdict('y')] })
  expect(servedTogether({ mark: 6, silent: [], verdicts: [] }, []).mark).toBe(6)
  const two = [verdict('x'), { ...verdict('x'), reason: 'another' }]
  expect(servedTogether({ mark: 6, silent: [], verdicts: two }, []).verdicts).toEqual(two)
})

test.each([
  ['the connected one, also if it is older', { isConnected: true, sinceMs: 1 }, { isConnected: false, sinceMs: 2 }, 0],
  ['the newer of two streams', { sinceMs: 1 }, { sinceMs: 2 }, 1],
  ['the newer of two ended streams', { isConnected: false, sinceMs: 3 }, { isConnected: false, sinceMs: 2 }, 0],
] as const)('ZR7 of two replicas that know a proxy, this one counts: %s', (_case, first, second, counts) => {
  const both = [proxy(first), proxy(second)]
  for (const order of [both, [...both].reverse()]) {
    const others = order.map((one) => ({ proxies: new Map([['a', one]]) }))
    expect(proxiesOf(others).get('a')).toBe(both[counts])
    expect(proxyOf(others, 'a')).toBe(both[counts])
    expect(proxyOf(others, 'b')).toBeUndefined()
  }
})
