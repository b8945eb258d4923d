import { InMemorySpanExporter, type ReadableSpan, type SpanExporter } from '@opentelemetry/sdk-trace'
import { createVirtualClock } from '@zonemesh/shared/env/clock.ts'
import { type Log, silentLog } from '@zonemesh/shared/env/log.ts'
import { formatTraceparent, idsOf } from '@zonemesh/shared/env/trace.ts'
import { createLatest } from '@zonemesh/shared/streams/latest.ts'
import { expect, test } from 'vitest'
import { traceparentOf } from '../../../shared/test/env/recording-tracer.ts'
import { startSdk } from '../../src/tracing/sdk.ts'
import type { TracingSettings } from '../../src/tracing/settings.ts'

const settings: TracingSettings = { exporters: [], sampler: 'parentbased_always_on', ratio: 1, batch: {} }
const identity = { service: 'zonemesh-zone', instance: 'host-1', attributes: { 'zonemesh.zone': 'east' } }

function traced(changes: Partial<TracingSettings> = {}, exporter: SpanExporter = new InMemorySpanExporter()) {
  const logged = createLatest<readonly string[]>([])
  const note = (level: string) => (fields: object, message: string) =>
    logged.set([...logged.value, `${level} ${JSON.stringify(fields)} ${message}`])
  const log: Log = { ...silentLog, warn: note('warn'), info: note('info') }
  const clock = createVirtualClock()
  const sdk = startSdk({ log, clock }, { ...settings, ...changes }, identity, [exporter])
  return { ...sdk, logged, clock }
}

/** Runs, closes, and returns what was exported. */
async function spansOf(run: (sdk: ReturnType<typeof traced>) => void, changes: Partial<TracingSettings> = {}) {
  const exported: ReadableSpan[] = []
  const sdk = traced(changes, {
    export(spans, done) {
      exported.push(...spans)
      done({ code: 0 })
    },
    shutdown: async () => {},
  })
  run(sdk)
  await sdk.close()
  return exported
}

test('OT9 a span is a child of its newest cause, with links to the others, and has the attributes of its plane', async () => {
  const causes = [traceparentOf(1), traceparentOf(2)]
  const [span, ...others] = await spansOf(({ tracer }) => {
    const work = tracer.startWork('apply a round', causes, { 'zonemesh.rows': 3 })
    work.set({ 'zonemesh.revision': 7 })
    work.end()
    work.end('a second end has no effect')
  })
  expect(others).toEqual([])
  expect(span?.name).toBe('apply a round')
  expect(span?.attributes).toEqual({ 'zonemesh.zone': 'east', 'zonemesh.rows': 3, 'zonemesh.revision': 7 })
  expect(span?.status.code).toBe(0)
  const { traceId, spanId } = idsOf(traceparentOf(2))
  expect([span?.spanContext().traceId, span?.parentSpanContext?.spanId]).toEqual([traceId, spanId])
  expect(span?.links.map(({ context }) => context.spanId)).toEqual([idsOf(traceparentOf(1)).spanId])
  expect(span?.resource.attributes).toMatchObject({ 'service.name': 'zonemesh-zone', 'zonemesh.zone': 'east' })
})

test('OT9 a failed span has its error, and work without a cause has no span', async () => {
  const spans = await spansOf(({ tracer }) => {
    tracer.startRequest('PUT /meshes', undefined, {}).end('the request failed')
    const none = tracer.startWork('compile', [], {})
    expect(none.traceparent).toBeUndefined()
    none.end()
  })
  expect(spans.map(({ name, status }) => [name, status])).toEqual([
    ['PUT /meshes', { code: 2, message: 'the request failed' }],
  ])
})

test('OT9 a span that is not sampled gives no context, so nothing of it is stored or sent', async () => {
  const unsampled = formatTraceparent({ ...idsOf(traceparentOf(1)), isSampled: false })
  const spans = await spansOf(({ tracer }) => {
    const span = tracer.startRequest('PUT', unsampled, {})
    expect(span.traceparent).toBeUndefined()
    span.end()
    expect(tracer.startRequest('PUT', traceparentOf(1), {}).traceparent).toContain(idsOf(traceparentOf(1)).traceId)
  })
  expect(spans).toEqual([])
})

test.each([
  ['always_on', 1, [true, true, true]],
  ['always_off', 1, [false, false, false]],
  ['traceidratio', 0, [false, false, false]],
  ['traceidratio', 1, [true, true, true]],
  ['parentbased_always_on', 1, [true, true, false]],
  ['parentbased_always_off', 1, [false, true, false]],
  ['parentbased_traceidratio', 0, [false, true, false]],
] as const)('OT6 the sampler %s with the ratio %f decides as its name says', async (sampler, ratio, expected) => {
  const { tracer, close } = traced({ sampler, ratio })
  const unsampled = formatTraceparent({ ...idsOf(traceparentOf(1)), isSampled: false })
  const isSampled = [undefined, traceparentOf(1), unsampled].map(
    (caller) => tracer.startRequest('PUT', caller, {}).traceparent !== undefined,
  )
  expect(isSampled).toEqual(expected)
  await close()
})

test('OT10 a receiver that fails is reported once, and once when it takes spans again', async () => {
  let fails = true
  const exported = createLatest(0)
  const batch = { scheduledDelayMillis: 0 }
  const sdk = traced(
    { batch },
    {
      export(_spans, done) {
        done(fails ? { code: 1, error: new Error('connect ECONNREFUSED') } : { code: 0 })
        exported.set(exported.value + 1)
      },
      shutdown: async () => {},
    },
  )
  const exportOne = async () => {
    const before = exported.value
    sdk.tracer.startRequest('PUT', undefined, {}).end()
    for await (const count of exported.watch(AbortSignal.timeout(5_000))) if (count > before) return
  }
  for (let index = 0; index < 3; index += 1) await exportOne()
  fails = false
  for (let index = 0; index < 3; index += 1) await exportOne()
  expect(sdk.logged.value).toEqual([
    'warn {"reason":"connect ECONNREFUSED"} cannot export spans: they are dropped until the receiver takes them; nothing else waits',
    'info {} spans are exported again',
  ])
  await sdk.close()
})

test('OT10 a receiver that never answers holds up neither spans nor the end of the process: at most 2 s', async () => {
  const sdk = traced(
    { batch: { maxQueueSize: 4, maxExportBatchSize: 2, exportTimeoutMillis: 2_000_000_000 } },
    { export: () => {}, shutdown: async () => {} },
  )
  for (let index = 0; index < 1_000; index += 1) sdk.tracer.startRequest('PUT', undefined, {}).end()
  let isClosed = false
  const closing = sdk.close().then(() => {
    isClosed = true
  })
  await sdk.clock.advance(1_999)
  expect(isClosed).toBe(false)
  await sdk.clock.advance(1)
  await closing
})
