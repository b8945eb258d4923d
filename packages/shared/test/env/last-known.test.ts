import { expect, test } from 'vitest'
import { createVirtualClock } from '../../src/env/clock.ts'
import { createLastKnown } from '../../src/env/last-known.ts'

/** A source whose answers the test gives, and how often it was asked. */
function sourceOf() {
  const clock = createVirtualClock(1_000)
  const known = createLastKnown<string>(clock, { waitMs: 500, keysMax: 2 })
  const asked: { key: string; resolve(value: string): void; reject(reason: unknown): void }[] = []
  const read = (key: string) => {
    const { promise, resolve, reject } = Promise.withResolvers<string>()
    asked.push({ key, resolve, reject })
    return promise
  }
  return { clock, asked, ask: (key = 'a') => known(key, () => read(key)) }
}

test('RT9 an answer is returned as it is, and a late or failed one is replaced by the last answer with its time', async () => {
  const { clock, asked, ask } = sourceOf()
  const first = ask()
  asked[0]?.resolve('one')
  expect(await first).toEqual({ value: 'one', silentSinceMs: undefined })

  const late = ask()
  clock.advance(499)
  asked[1]?.resolve('two')
  expect(await late).toEqual({ value: 'two', silentSinceMs: undefined })

  const failed = ask()
  asked[2]?.reject(new Error('away'))
  expect(await failed).toEqual({ value: 'two', silentSinceMs: 1_499 })
  const silent = ask()
  clock.advance(500)
  expect(await silent).toEqual({ value: 'two', silentSinceMs: 1_499 })
})

test('RT9 a silent source is not asked again, and its late answer counts', async () => {
  const { clock, asked, ask } = sourceOf()
  const first = ask()
  asked[0]?.resolve('one')
  await first
  const silent = ask()
  clock.advance(500)
  await silent
  expect(await ask()).toEqual({ value: 'one', silentSinceMs: 1_000 })
  expect(asked.length).toBe(2)
  asked[1]?.resolve('two')
  await expect.poll(async () => (asked.length === 2 ? 'waits' : 'asks')).toBe('waits')
  const next = ask()
  expect(asked.length).toBe(3)
  asked[2]?.reject(new Error('away'))
  expect(await next).toEqual({ value: 'two', silentSinceMs: 1_500 })
})

test('RT9 a source that is silent about one key is not asked about others whose answer is known', async () => {
  const { clock, asked, ask } = sourceOf()
  const known = [ask('a'), ask('b')]
  for (const one of asked) one.resolve('one')
  await Promise.all(known)
  const silent = ask('a')
  clock.advance(500)
  await silent
  expect(await ask('b')).toEqual({ value: 'one', silentSinceMs: 1_000 })
  expect(asked.length).toBe(3)
})

test('RT9 without a last answer the caller waits, and receives the failure', async () => {
  const { clock, asked, ask } = sourceOf()
  const first = ask()
  clock.advance(5_000)
  asked[0]?.resolve('one')
  expect(await first).toEqual({ value: 'one', silentSinceMs: undefined })
  const other = ask('b')
  asked[1]?.reject(new Error('away'))
  await expect(other).rejects.toThrow('away')
})

test('RT9 only the newest answers are kept', async () => {
  const { asked, ask } = sourceOf()
  for (const [index, key] of ['a', 'b', 'c'].entries()) {
    const answer = ask(key)
    asked[index]?.resolve(key)
    await answer
  }
  const failed = [ask('a'), ask('b')]
  for (const one of asked.slice(3)) one.reject(new Error('away'))
  await expect(failed[0]).rejects.toThrow('away')
  expect(await failed[1]).toEqual({ value: 'b', silentSinceMs: 1_000 })
})
