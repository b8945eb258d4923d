import { expect, test } from 'vitest'
import { createVirtualClock } from '../../src/env/clock.ts'
import { StoreUnavailableError } from '../../src/store/errors.ts'
import { createPatience } from '../../src/sync/patience.ts'

const settle = () => new Promise<void>((resolve) => setImmediate(resolve))

function createSession() {
  const clock = createVirtualClock()
  const stop = new AbortController()
  const changes: string[] = []
  const patience = createPatience(clock, stop.signal, (reason) => changes.push(reason))
  /** A task that fails with each of these reasons, then succeeds. */
  const failing = (...reasons: string[]) => {
    let tries = 0
    return async () => {
      const reason = reasons[tries]
      tries += 1
      if (reason !== undefined) throw new StoreUnavailableError(reason)
      return tries
    }
  }
  const advance = async (byMs: number) => {
    clock.advance(byMs)
    await settle()
  }
  return { patience, changes, stop, failing, advance }
}

test('Y19 an operation of a store that refuses it is repeated every second, and each new reason is reported once', async () => {
  const { patience, changes, failing, advance } = createSession()
  expect(patience.blocked()).toBe('')
  const done = patience.patiently(failing('full', 'full', 'away'))
  await settle()
  expect(patience.blocked()).toBe('full')
  await advance(999)
  await advance(1)
  expect(changes).toEqual(['full'])
  await advance(1_000)
  expect(patience.blocked()).toBe('away')
  await advance(1_000)
  expect(await done).toBe(4)
  expect(changes).toEqual(['full', 'away', ''])
  expect(patience.blocked()).toBe('')
})

test('Y19 a read that works does not hide that writes fail', async () => {
  const { patience, changes, failing, advance } = createSession()
  const done = patience.patiently(failing('full'))
  await settle()
  expect(await patience.patiently(failing())).toBe(1)
  expect(patience.blocked()).toBe('full')
  await advance(1_000)
  await done
  expect(changes).toEqual(['full', ''])
})

test('Y19 another failure is not repeated', async () => {
  const { patience, changes } = createSession()
  const fault = new Error('a bug')
  await expect(patience.patiently(() => Promise.reject(fault))).rejects.toBe(fault)
  expect(changes).toEqual([])
})

test('Y19 the end of the session ends the attempts, and reports nothing more', async () => {
  const { patience, changes, stop, failing } = createSession()
  const done = patience.patiently(failing('full'))
  await settle()
  stop.abort(new Error('the session has ended'))
  await expect(done).rejects.toThrow('the session has ended')
  expect(changes).toEqual(['full'])
})
