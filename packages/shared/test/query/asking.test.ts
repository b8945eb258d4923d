import { expect, test } from 'vitest'
import { type AskingEffect, type AskingEvent, askingStep, createAsking } from '../../src/query/asking.ts'
import { answerBytesMax, waitingMax } from '../../src/query/query.ts'

function shown(effect: AskingEffect): string {
  switch (effect.type) {
    case 'send':
      return `send ${effect.frame.type} ${effect.frame.id}`
    case 'answered':
      return `answered ${effect.id}: ${effect.parts.map((part) => part.join('')).join(' ')}`
    case 'failed':
      return `failed ${effect.id}: ${effect.failure.code}`
  }
}

function createScript() {
  const state = createAsking()
  const run = (event: AskingEvent): string[] => askingStep(state, event).map(shown)
  return {
    state,
    ask: (id: number) => run({ type: 'ask', frame: { type: 'ask', id, name: 'q', request: new Uint8Array() } }),
    answer: (id: number, bytes: number[], last = true) =>
      run({ type: 'answer', id, bytes: Uint8Array.from(bytes), last }),
    big: (id: number, bytes: number) => run({ type: 'answer', id, bytes: new Uint8Array(bytes), last: false }),
    fault: (id: number) => run({ type: 'fault', id, fault: { code: 'refused', reason: 'no' } }),
    leave: (id: number) => run({ type: 'leave', id, failure: { code: 'late', reason: 'too late' } }),
    close: () => run({ type: 'closed', reason: 'the session has ended' }),
  }
}

test('QX1 two queries run at a time, and the next one starts when one of them ends', () => {
  const { ask, answer, fault, leave } = createScript()
  expect([ask(1), ask(2), ask(3), ask(4), ask(5)]).toEqual([['send ask 1'], ['send ask 2'], [], [], []])
  expect(answer(2, [1], false)).toEqual([])
  expect(answer(2, [2])).toEqual(['answered 2: 1 2', 'send ask 3'])
  expect(fault(1)).toEqual(['failed 1: refused', 'send ask 4'])
  expect(leave(3)).toEqual(['send cancel 3', 'failed 3: late', 'send ask 5'])
})

test('QX1 at most 16 queries wait, and a further one fails at once', () => {
  const { ask } = createScript()
  for (let id = 1; id <= 2 + waitingMax; id += 1) ask(id)
  expect(ask(100)).toEqual(['failed 100: busy'])
})

test('QX2 a query ends once: what arrives for it later is ignored', () => {
  const { ask, answer, fault, leave } = createScript()
  ask(1)
  expect(leave(1)).toEqual(['send cancel 1', 'failed 1: late'])
  expect([answer(1, [1]), fault(1), leave(1)]).toEqual([[], [], []])
  expect([answer(7, [1]), fault(7), leave(7)]).toEqual([[], [], []])
})

test('QX2 a query that waits and is not needed any more is never sent', () => {
  const { ask, answer, leave } = createScript()
  for (const id of [1, 2, 3, 4]) ask(id)
  expect(leave(3)).toEqual(['failed 3: late'])
  expect(answer(1, [])).toEqual(['answered 1: ', 'send ask 4'])
})

test('QX3 an answer above 4 MiB fails and is cancelled', () => {
  const { ask, big, answer } = createScript()
  ask(1)
  expect(big(1, answerBytesMax)).toEqual([])
  expect(answer(1, [1])).toEqual(['send cancel 1', 'failed 1: too-large'])
})

test('QX4 the end of a session ends its queries, and later ones fail with the same reason', () => {
  const { ask, answer, close } = createScript()
  for (const id of [1, 2, 3]) ask(id)
  expect(close()).toEqual(['failed 1: ended', 'failed 2: ended', 'failed 3: ended'])
  expect([close(), answer(1, [1])]).toEqual([[], []])
  expect(ask(4)).toEqual(['failed 4: ended'])
})
