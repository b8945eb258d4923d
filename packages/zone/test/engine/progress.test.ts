import { createVirtualClock } from '@zonemesh/shared/env/clock.ts'
import { expect, test } from 'vitest'
import { createProgress } from '../../src/engine/progress.ts'

test('Z7 a mark is served when every proxy that it changed has answered, and unchanged proxies are not awaited', () => {
  const progress = createProgress(createVirtualClock())
  progress.sent('a', 1, 5)
  progress.compiled(5)
  expect(progress.read()).toEqual({ mark: 4, silent: [] })
  progress.compiled(6)
  expect(progress.read().mark).toBe(4)
  progress.served('a', 1)
  expect(progress.read().mark).toBe(6)
})

test('Z8 a proxy that is silent for two seconds is left out and named', () => {
  const clock = createVirtualClock()
  const progress = createProgress(clock)
  progress.sent('a', 1, 3)
  progress.compiled(4)
  clock.advance(2_001)
  expect(progress.read()).toEqual({ mark: 4, silent: ['a'] })
  progress.gone('a')
  expect(progress.read()).toEqual({ mark: 4, silent: [] })
})

test('Z9 an answer to an older table does not count for a newer table', () => {
  const progress = createProgress(createVirtualClock())
  progress.sent('a', 1, 3)
  progress.sent('a', 2, 7)
  progress.compiled(8)
  expect(progress.servedBy('a')).toBe(0)
  progress.served('a', 1)
  expect(progress.read().mark).toBe(6)
  expect(progress.servedBy('a')).toBe(6)
})

test('Z8 a proxy counts for exactly two seconds after its oldest unanswered table, and silent proxies are sorted', () => {
  const clock = createVirtualClock()
  const progress = createProgress(clock)
  progress.sent('b', 1, 3)
  progress.sent('a', 1, 4)
  clock.advance(1_000)
  progress.sent('b', 2, 6)
  progress.compiled(7)
  clock.advance(1_000)
  expect(progress.read()).toEqual({ mark: 2, silent: [] })
  clock.advance(1)
  expect(progress.read()).toEqual({ mark: 7, silent: ['a', 'b'] })
  progress.served('b', 1)
  expect(progress.read()).toEqual({ mark: 5, silent: ['a'] })
})

test('Z9 a proxy that has answered all tables serves the newest mark, and after its stream has closed none', () => {
  const progress = createProgress(createVirtualClock())
  progress.sent('a', 1, 3)
  progress.sent('a', 2, 4)
  progress.compiled(8)
  progress.served('a', 2)
  expect([progress.servedBy('a'), progress.servedBy('b')]).toEqual([8, 0])
  progress.sent('a', 3, 9)
  progress.gone('a')
  progress.compiled(9)
  expect([progress.servedBy('a'), progress.read().mark]).toEqual([0, 9])
})
