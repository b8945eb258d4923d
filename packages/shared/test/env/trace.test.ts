import { expect, test } from 'vitest'
import {
  causesMax,
  formatTraceparent,
  idsOf,
  inSpan,
  noSpan,
  noTracer,
  parseTraceparent,
  withCauses,
} from '../../src/env/trace.ts'
import { createRecordingTracer, traceparentOf } from './recording-tracer.ts'

const traceId = '4bf92f3577b34da6a3ce929d0e0e4736'
const spanId = '00f067aa0ba902b7'
const sampled = `00-${traceId}-${spanId}-01`

test('OT1 a well-formed traceparent is read, and only the flag of sampling is kept', () => {
  expect(parseTraceparent(sampled)).toBe(sampled)
  expect(parseTraceparent(`00-${traceId}-${spanId}-00`)).toBe(`00-${traceId}-${spanId}-00`)
  expect(parseTraceparent(`00-${traceId}-${spanId}-ff`)).toBe(sampled)
  expect(parseTraceparent(`00-${traceId}-${spanId}-02`)).toBe(`00-${traceId}-${spanId}-00`)
  expect(formatTraceparent({ traceId, spanId, isSampled: true })).toBe(sampled)
  for (const isSampled of [true, false])
    expect(idsOf(formatTraceparent({ traceId, spanId, isSampled }))).toEqual({ traceId, spanId, isSampled })
})

test('OT1 a later version is read as version 00, also with further parts', () => {
  expect(parseTraceparent(`cc-${traceId}-${spanId}-01`)).toBe(sampled)
  expect(parseTraceparent(`cc-${traceId}-${spanId}-01-what-comes-later`)).toBe(sampled)
})

test.each([
  ['nothing', undefined],
  ['another type', 5],
  ['a repeated header', [sampled, sampled]],
  ['an empty text', ''],
  ['two joined headers', `${sampled}, ${sampled}`],
  ['capitals', sampled.toUpperCase()],
  ['the version ff', `ff-${traceId}-${spanId}-01`],
  ['version 00 with a further part', `${sampled}-more`],
  ['a trace id of zeros', `00-${'0'.repeat(32)}-${spanId}-01`],
  ['a span id of zeros', `00-${traceId}-${'0'.repeat(16)}-01`],
  ['a short trace id', `00-${traceId.slice(1)}-${spanId}-01`],
  ['a long span id', `00-${traceId}-${spanId}0-01`],
  ['a line break', `${sampled}\n`],
  ['a later version that is huge', `cc-${traceId}-${spanId}-01-${'x'.repeat(1_000_000)}`],
  ['another text', "'; DROP TABLE records; --"],
])('OT1 %s is no traceparent', (_what, text) => {
  expect(parseTraceparent(text)).toBeUndefined()
})

test('OT5 contexts are kept once each, the newest last, at most 8', () => {
  const [one, two, three] = [traceparentOf(1), traceparentOf(2), traceparentOf(3)]
  expect(withCauses([one, two], [])).toEqual([one, two])
  expect(withCauses([one, two], [three, one])).toEqual([two, three, one])
  const many = Array.from({ length: 20 }, (_, index) => traceparentOf(index + 1))
  expect(withCauses(many.slice(0, 10), many.slice(10))).toEqual(many.slice(-causesMax))
})

test('OT7 without tracing there are no spans, and the context of a cause passes through', () => {
  expect(noTracer.isOn).toBe(false)
  expect(noTracer.startRequest('PUT', traceparentOf(1), {}).traceparent).toBeUndefined()
  expect(noTracer.startWork('apply', [traceparentOf(1), traceparentOf(2)], {}).traceparent).toBe(traceparentOf(2))
  expect(noTracer.startWork('apply', [], {}).traceparent).toBeUndefined()
  expect(noSpan.traceparent).toBeUndefined()
})

test('OT8 a span ends with its work, and states that the work failed without the text of the error', async () => {
  const { tracer, spans } = createRecordingTracer()
  const start = () => tracer.startWork('work', [traceparentOf(1)], {})
  expect(await inSpan(start(), async () => 5)).toBe(5)
  const failed = inSpan(start(), async () => {
    throw new Error('the password is 1234')
  })
  await expect(failed).rejects.toThrow('1234')
  const refused = async (span: ReturnType<typeof start>) => span.end('the store refused it')
  await inSpan(start(), refused)
  expect(spans.map(({ ended }) => ended)).toEqual([
    'ok',
    { error: 'it failed; the log has the reason' },
    { error: 'the store refused it' },
  ])
})
