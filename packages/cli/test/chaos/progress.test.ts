import { expect, test } from 'vitest'
import type { Answer } from '../../src/chaos/answers.ts'
import { createReporter, type Phase, progressLine } from '../../src/chaos/progress.ts'

/** One answer every 10 ms from 0 on, each after `ms`. */
const answersUntil = (endMs: number, ms: number): Answer[] =>
  Array.from({ length: endMs / 10 }, (_, index) => ({ startedAtMs: index * 10, atMs: index * 10 + ms, ok: true }))

const fault: Phase = { name: 'fault', title: 'partition east for 20.0 s, up only', fromMs: 10_000, forMs: 20_000 }

test('B31 the line of a run counts the fault down, with the failures so far, and the rate and the times of the last seconds', () => {
  const slow = answersUntil(20_000, 5).map((one, index) =>
    index % 50 === 0 ? { ...one, startedAtMs: one.startedAtMs - 90 } : one,
  )
  expect(progressLine({ atMs: 20_000, phase: fault, answers: slow }, 3)).toBe(
    'partition east, up only: 10 s left; 3 failed, 100 requests/s, p50 5.0 ms, p99 95.0 ms',
  )
  const line = (phase: Phase) => progressLine({ atMs: 20_000, phase, answers: [] }, 0).split(';')[0]
  expect(line({ name: 'calm' })).toBe('no fault')
  expect(line({ name: 'fault', title: 'restore', fromMs: 17_000, forMs: undefined })).toBe('restore: since 3 s')
  expect(line({ ...fault, fromMs: -1_000 })).toBe('partition east, up only: ending since 1 s')
  expect(line({ name: 'after', title: 'partition east for 20.0 s', fromMs: 18_500 })).toBe(
    'partition east: ended, converging since 2 s',
  )
  // The rate is that of the time since the first request while that time is short.
  expect(progressLine({ atMs: 1_000, phase: fault, answers: answersUntil(1_000, 2) }, 0)).toContain('100 requests/s')
  // What happened before the last seconds counts no more.
  expect(progressLine({ atMs: 60_000, phase: fault, answers: answersUntil(20_000, 5) }, 0)).toContain(
    '0 requests/s, p50 -, p99 -',
  )
})

test('B31 in a pipe a run has a line at the beginning of each fault, and otherwise one in five seconds at most', () => {
  const lines: string[] = []
  const reporter = createReporter({ note: (line) => void lines.push(line) }, false)
  const answers = answersUntil(30_000, 5).map((one, index) => ({ ...one, ok: index !== 2_000 }))
  for (let atMs = 0; atMs < 40_000; atMs += 250) {
    const phase: Phase = atMs < 10_000 ? { name: 'calm' } : atMs < 30_000 ? fault : { name: 'calm' }
    reporter.show({ atMs, phase, answers: answers.filter((one) => one.atMs <= atMs) })
  }
  reporter.end()
  expect(lines.map((line) => line.split(',').slice(0, -3).join(','))).toEqual([
    ...['no fault; 0 failed', 'no fault; 0 failed'],
    ...['20', '15', '10'].map((left) => `partition east, up only: ${left} s left; 0 failed`),
    'partition east, up only: 5 s left; 1 failed',
    ...['no fault; 1 failed', 'no fault; 1 failed'],
  ])
})

test('B31 on a terminal the line of a run is rewritten with every report', () => {
  const lines: string[] = []
  const reporter = createReporter({ note: (line) => void lines.push(line) }, true)
  for (const atMs of [10_000, 10_250, 11_250]) reporter.show({ atMs, phase: fault, answers: answersUntil(10_000, 5) })
  expect(lines.map((line) => line.split(':')[1]?.split(';')[0])).toEqual([' 20 s left', ' 20 s left', ' 19 s left'])
})
