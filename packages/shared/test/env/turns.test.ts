import { createVirtualClock } from '@zonemesh/shared/env/clock.ts'
import { createTurns } from '@zonemesh/shared/env/turns.ts'
import { expect, test } from 'vitest'

/** A task whose runs end by hand. */
function startTurns() {
  const clock = createVirtualClock()
  const events: string[] = []
  const ends: (() => void)[] = []
  const turns = createTurns(clock, 20, async () => {
    const id = ends.length
    events.push(`start ${id}`)
    await new Promise<void>((resolve) => ends.push(resolve))
    events.push(`end ${id}`)
  })
  return { clock, events, ends, turns }
}

const settle = () => new Promise<void>((resolve) => setImmediate(resolve))

test('RT7 calls within the gathering time share one run, and a later call causes another one', async () => {
  const { clock, events, ends, turns } = startTurns()
  turns.soon()
  clock.advance(15)
  turns.soon()
  await settle()
  expect(events).toEqual([])
  clock.advance(5)
  await settle()
  expect(events).toEqual(['start 0'])
  clock.advance(100)
  await settle()
  expect(events).toEqual(['start 0'])
  ends[0]?.()
  await settle()
  expect(events).toEqual(['start 0', 'end 0'])
  turns.soon()
  clock.advance(20)
  await settle()
  expect(events).toEqual(['start 0', 'end 0', 'start 1'])
})

test('RT7 a run begins when the run before it has ended', async () => {
  const { clock, events, ends, turns } = startTurns()
  const first = turns.run()
  const second = turns.run()
  turns.soon()
  clock.advance(20)
  await settle()
  expect(events).toEqual(['start 0'])
  ends[0]?.()
  await first
  await settle()
  expect(events).toEqual(['start 0', 'end 0', 'start 1'])
  ends[1]?.()
  await second
  await settle()
  ends[2]?.()
  await turns.idle()
  expect(events.slice(3)).toEqual(['end 1', 'start 2', 'end 2'])
})

test('RT7 disposing cancels the run that was asked for, and not the one that runs', async () => {
  const { clock, events, ends, turns } = startTurns()
  void turns.run()
  turns.soon()
  await settle()
  turns[Symbol.dispose]()
  clock.advance(20)
  ends[0]?.()
  await turns.idle()
  await settle()
  expect(events).toEqual(['start 0', 'end 0'])
})
