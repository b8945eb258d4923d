import { createMetrics } from '@zonemesh/plane/metrics/metrics.ts'
import { observeProcess } from '@zonemesh/plane/metrics/process.ts'
import { createVirtualClock, systemClock } from '@zonemesh/shared/env/clock.ts'
import { expect, test } from 'vitest'

function scene(clock = systemClock) {
  const metrics = createMetrics('zone')
  const observed = observeProcess(metrics, clock)
  const figure = async (name: string): Promise<number> =>
    Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(await metrics.text())?.[1] ?? Number.NaN)
  const delaysUpTo = (seconds: string) => figure(`nodejs_eventloop_delay_seconds_bucket\\{le="${seconds}"\\}`)
  return { metrics, observed, figure, delaysUpTo }
}

/** Keeps the event loop busy. */
function block(durationMs: number): void {
  const endMs = systemClock.monotonicMs() + durationMs
  while (systemClock.monotonicMs() < endMs);
}

test('MT14 a blocked event loop is measured as one delay of that length', async () => {
  const { observed, delaysUpTo } = scene()
  const longer = async () => (await delaysUpTo('2.5')) - (await delaysUpTo('1'))
  await expect.poll(() => delaysUpTo('\\+Inf')).toBeGreaterThan(2)
  expect(await longer()).toBe(0)
  block(1_100)
  await expect.poll(longer).toBe(1)
  observed[Symbol.dispose]()
})

test('MT14 the delay is measured ten times per second, until the plane closes', async () => {
  const clock = createVirtualClock()
  const { observed, delaysUpTo } = scene(clock)
  for (let turn = 0; turn < 5; turn += 1) {
    clock.advance(100)
    await new Promise(setImmediate)
  }
  expect([await delaysUpTo('0.0005'), await delaysUpTo('\\+Inf')]).toEqual([5, 5])
  observed[Symbol.dispose]()
  clock.advance(1_000)
  expect(await delaysUpTo('\\+Inf')).toBe(5)
})

test('MT14 the memory, the time and the versions of the process are shown', async () => {
  const { metrics, observed, figure } = scene()
  expect(await figure('process_resident_memory_bytes')).toBeGreaterThan(10_000_000)
  expect(await figure('nodejs_heap_used_bytes')).toBeGreaterThan(1_000_000)
  expect(await figure('process_cpu_seconds_total')).toBeGreaterThan(0)
  expect(Math.abs((await figure('process_start_time_seconds')) + process.uptime() - Date.now() / 1000)).toBeLessThan(2)
  const text = await metrics.text()
  expect(text).toMatch(/^nodejs_version_info\{version="v24\.\S+"\} 1$/m)
  expect(text).toMatch(/^zonemesh_build_info\{version="\d+\.\d+\.\d+",role="zone"\} 1$/m)
  observed[Symbol.dispose]()
})
