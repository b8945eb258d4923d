import { expect, test } from 'vitest'
import { type AnsweringEffect, type AnsweringEvent, answeringStep, createAnswering } from '../../src/query/answering.ts'
import { answerBytesMax, partBytesMax } from '../../src/query/query.ts'

function shown(effect: AnsweringEffect): string {
  if (effect.type === 'await-turn') return 'await-turn'
  if (effect.type !== 'send') return `${effect.type} ${effect.id}`
  const { frame } = effect
  if (frame.type === 'answer') return `answer ${frame.id}: ${frame.bytes.length}${frame.last ? ' last' : ''}`
  return frame.type === 'fault' ? `fault ${frame.id}: ${frame.fault.code}` : frame.type
}

function createScript() {
  const state = createAnswering()
  const run = (event: AnsweringEvent): string[] => answeringStep(state, event).map(shown)
  return {
    state,
    ask: (id: number) => run({ type: 'ask', id, name: 'q', request: new Uint8Array() }),
    handled: (id: number, bytes: number) =>
      run({ type: 'handled', id, result: { ok: true, value: new Uint8Array(bytes) } }),
    failed: (id: number) =>
      run({ type: 'handled', id, result: { ok: false, error: { code: 'failed', reason: 'broken' } } }),
    cancel: (id: number) => run({ type: 'cancel', id }),
    turn: () => run({ type: 'turn' }),
    close: () => run({ type: 'closed' }),
  }
}

test('QX5 an answer is sent in parts of 64 KiB, one per turn, and two answers take turns', () => {
  const { ask, handled, turn } = createScript()
  expect([ask(1), ask(2)]).toEqual([['handle 1'], ['handle 2']])
  expect(handled(1, partBytesMax + 1)).toEqual(['await-turn'])
  expect(handled(2, 2 * partBytesMax)).toEqual([])
  expect([turn(), turn(), turn(), turn(), turn()]).toEqual([
    [`answer 1: ${partBytesMax}`, 'await-turn'],
    [`answer 2: ${partBytesMax}`, 'await-turn'],
    ['answer 1: 1 last', 'await-turn'],
    [`answer 2: ${partBytesMax} last`],
    [],
  ])
})

test('QX5 an empty answer is one part, and a fault takes its turn like an answer', () => {
  const { ask, handled, failed, turn } = createScript()
  ask(1)
  ask(2)
  expect([handled(1, 0), failed(2)]).toEqual([['await-turn'], []])
  expect([turn(), turn()]).toEqual([['answer 1: 0 last', 'await-turn'], ['fault 2: failed']])
})

test('QX6 a peer that asks for more than two answers at a time is refused as busy', () => {
  const { ask, handled, turn } = createScript()
  ask(1)
  ask(2)
  expect(ask(3)).toEqual(['await-turn'])
  expect(turn()).toEqual(['fault 3: busy'])
  handled(1, 1)
  // The answer is not sent yet.
  expect(ask(4)).toEqual([])
  expect([turn(), turn()]).toEqual([['answer 1: 1 last', 'await-turn'], ['fault 4: busy']])
  expect(ask(5)).toEqual(['handle 5'])
})

test('QX6 refusals do not accumulate: a peer that never stops to ask gets only some of them', () => {
  const { ask, state } = createScript()
  for (let id = 1; id <= 1_000; id += 1) ask(id)
  expect([state.handled.size, state.ready.length]).toEqual([2, 8])
})

test('QX6 a query with the id of one that runs or is being answered is ignored', () => {
  const { ask, handled, turn } = createScript()
  ask(1)
  expect(ask(1)).toEqual([])
  handled(1, partBytesMax + 1)
  expect(ask(1)).toEqual([])
  turn()
  expect(turn()).toEqual(['answer 1: 1 last'])
  expect(ask(1)).toEqual(['handle 1'])
})

test('QX7 a cancelled query sends nothing more, and its handler counts until it has ended, up to four', () => {
  const { ask, handled, cancel, turn } = createScript()
  ask(1)
  expect(cancel(1)).toEqual(['abort 1'])
  expect([cancel(1), handled(1, 5)]).toEqual([[], []])
  ask(2)
  handled(2, partBytesMax + 1)
  turn()
  expect(cancel(2)).toEqual([])
  expect(turn()).toEqual([])
  for (const id of [3, 4, 5, 6]) {
    expect(ask(id)).toEqual([`handle ${id}`])
    cancel(id)
  }
  expect(ask(7)).toEqual(['await-turn'])
  expect(turn()).toEqual(['fault 7: busy'])
  handled(3, 1)
  expect(ask(8)).toEqual(['handle 8'])
})

test('QX3 an answer above 4 MiB is not sent', () => {
  const { ask, handled, turn } = createScript()
  ask(1)
  handled(1, answerBytesMax + 1)
  expect(turn()).toEqual(['fault 1: too-large'])
  ask(2)
  handled(2, answerBytesMax)
  expect(turn()).toEqual([`answer 2: ${partBytesMax}`, 'await-turn'])
})

test('QX4 the end of a session aborts its handlers, and nothing is sent after it', () => {
  const { ask, handled, cancel, close, turn } = createScript()
  ask(1)
  ask(2)
  handled(2, 1)
  turn()
  ask(4)
  cancel(4)
  // The handler of a cancelled query is aborted already.
  expect(close()).toEqual(['abort 1'])
  expect([turn(), handled(1, 1), ask(3)]).toEqual([[], [], []])
})
