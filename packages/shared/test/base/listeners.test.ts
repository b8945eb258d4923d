import { createListeners } from '@zonemesh/shared/base/listeners.ts'
import { expect, test } from 'vitest'

test('RT8 a listener that is added or removed during a call changes only the next call', () => {
  const listeners = createListeners<number>()
  const events: string[] = []
  listeners.add((value) => {
    events.push(`first ${value}`)
    removed[Symbol.dispose]()
    if (value === 1) listeners.add((later) => events.push(`added ${later}`))
  })
  const removed = listeners.add((value) => events.push(`removed ${value}`))
  listeners.call(1)
  listeners.call(2)
  expect(events).toEqual(['first 1', 'removed 1', 'first 2', 'added 2'])
})
