import { expect, test } from 'vitest'
import { createVirtualClock } from '../../src/env/clock.ts'
import { createSentMarks } from '../../src/sync/sent-marks.ts'

const at = (revision: number) => ({ store: 's', revision, commitId: `c${revision}` })

function createSender() {
  const clock = createVirtualClock()
  const sent: string[] = []
  const marks = createSentMarks(clock, (message) =>
    sent.push(message.type === 'mark' ? `mark ${message.position.revision}` : message.type),
  )
  const idle = (revision: number) =>
    marks.send({ type: 'send', message: { type: 'mark', position: at(revision) }, idle: true })
  const mark = (revision: number) => marks.send({ type: 'send', message: { type: 'mark', position: at(revision) } })
  const rows = () => marks.send({ type: 'send', message: { type: 'rows', rows: [], bytes: 0 } })
  return { clock, marks, sent, idle, mark, rows }
}

test('Y16 the first mark of a session is sent at once, also after rows and without rows', () => {
  const { sent, idle, rows } = createSender()
  rows()
  idle(1)
  idle(2)
  expect(sent).toEqual(['rows', 'mark 1'])
})

test('Y16 a mark without rows waits 40 ms from the first one, and the last one is sent', () => {
  const { clock, marks, sent, idle } = createSender()
  marks.begin(at(1))
  expect(marks.sent()).toEqual(at(1))
  idle(2)
  idle(3)
  clock.advance(30)
  idle(4)
  clock.advance(9)
  expect(sent).toEqual(['mark 2'])
  // A mark that waits is not reported as sent.
  expect(marks.sent()).toEqual(at(2))
  clock.advance(1)
  expect(sent).toEqual(['mark 2', 'mark 4'])
  expect(marks.sent()).toEqual(at(4))
  idle(5)
  clock.advance(39)
  expect(sent).toHaveLength(2)
  clock.advance(1)
  expect(sent).toEqual(['mark 2', 'mark 4', 'mark 5'])
})

test('Y16 rows replace a waiting mark, because their own mark follows', () => {
  const { clock, sent, idle, mark, rows } = createSender()
  mark(1)
  idle(2)
  rows()
  mark(3)
  clock.advance(1_000)
  expect(sent).toEqual(['mark 1', 'rows', 'mark 3'])
})

test('Y16 a mark that waits at the end of its session is not sent', () => {
  const { clock, marks, sent, idle, mark } = createSender()
  mark(1)
  idle(2)
  marks[Symbol.dispose]()
  idle(3)
  clock.advance(1_000)
  expect(sent).toEqual(['mark 1'])
})

test('Y16 a session that has ended sends no mark that came later', () => {
  const { clock, marks, sent, idle, mark } = createSender()
  mark(1)
  marks[Symbol.dispose]()
  idle(2)
  clock.advance(1_000)
  expect(sent).toEqual(['mark 1'])
})
