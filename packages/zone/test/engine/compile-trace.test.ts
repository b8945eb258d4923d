import { createVirtualClock } from '@zonemesh/shared/env/clock.ts'
import { createSeededRandom } from '@zonemesh/shared/env/random.ts'
import { keyText, type ResourceKey } from '@zonemesh/shared/resource/resource.ts'
import { createMemoryStore } from '@zonemesh/shared/store/memory.ts'
import { expect, test } from 'vitest'
import { createRecordingTracer, traceparentOf } from '../../../shared/test/env/recording-tracer.ts'
import { createCompileTrace, tracedProxiesMax } from '../../src/engine/compile-trace.ts'
import { own } from '../quarantine/life.ts'
import { edge, gatewayProxy, route, routeKey, scene, withoutHints, world } from './scene.ts'

const second = own('Dataplane', 'edge-2')

/** Two proxies with a table each, before any traced commit. */
async function compiled() {
  const { tracer, spans, named } = createRecordingTracer()
  const zone = scene({ tracer, read: withoutHints })
  await zone.put(...world, [second, gatewayProxy('10.0.0.2')])
  await zone.settle()
  const feeds = [zone.open(edge), zone.open(second)] as const
  return { ...zone, spans, named, feeds }
}

test('OT9 a zone compiles a traced commit in a child of its span, and pushes to each proxy in a child of that', async () => {
  const { putIn, settle, trace, spans, engine } = await compiled()
  expect(spans).toEqual([])
  const revision = await putIn(traceparentOf(1), [[routeKey('more'), route('/more')]])
  await settle()
  const [compile, ...pushes] = spans
  expect(compile).toMatchObject({ name: 'compile', parent: traceparentOf(1), links: [], ended: 'ok' })
  expect(compile?.attributes).toEqual({
    'zonemesh.revision': revision,
    'zonemesh.versions': 1,
    'zonemesh.proxies': 2,
    'zonemesh.proxies_traced': 2,
  })
  const shown = pushes.map(({ name, parent, attributes, ended }) => ({ name, parent, attributes, ended }))
  const push = (proxy: ResourceKey) => ({
    name: 'push to a proxy',
    parent: compile?.traceparent,
    attributes: {
      'zonemesh.revision': revision,
      'zonemesh.proxy': keyText(proxy),
      'zonemesh.kind': 'Dataplane',
      'zonemesh.mesh': 'default',
    },
    ended: undefined,
  })
  expect(shown).toEqual([push(edge), push(second)])
  trace.served(keyText(edge), engine.serial() - 2)
  expect(pushes.map(({ ended }) => ended)).toEqual([undefined, undefined])
  trace.served(keyText(edge), engine.serial() - 1)
  trace.refused(keyText(second), 'listener "80"')
  trace.served(keyText(second), engine.serial())
  expect(pushes.map(({ ended }) => ended)).toEqual(['ok', { error: 'Envoy refused the resource "listener \\"80\\""' }])
})

test('OT5 commits that are compiled together are linked: the newest is the parent', async () => {
  const { putIn, settle, named } = await compiled()
  for (const number of [1, 2, 3]) await putIn(traceparentOf(number), [[routeKey('more'), route(`/more-${number}`)]])
  await settle()
  expect(named('compile')).toMatchObject([
    { parent: traceparentOf(3), links: [traceparentOf(1), traceparentOf(2)], attributes: { 'zonemesh.versions': 1 } },
  ])
})

test('OT9 a commit without a context, a commit that changes no table, and a start have no push', async () => {
  const { put, putIn, settle, named, spans, feeds } = await compiled()
  await put([routeKey('more'), route('/more')])
  await settle()
  expect([spans, feeds.map(({ mark }) => mark())]).toEqual([[], [3, 4]])
  await putIn(traceparentOf(1), [[own('Dataplane', 'other'), gatewayProxy('10.0.0.3', 'other')]])
  await settle()
  expect(named('compile')).toMatchObject([{ attributes: { 'zonemesh.proxies': 0, 'zonemesh.proxies_traced': 0 } }])
  expect(named('push to a proxy')).toEqual([])
  const { tracer, spans: ofStart } = createRecordingTracer()
  const started = scene({ tracer, read: withoutHints })
  await started.putIn(traceparentOf(1), [...world])
  await started.settle()
  expect(ofStart).toEqual([])
})

test('OT9 a stream that closes ends its pushes with an error', async () => {
  const { putIn, settle, trace, named } = await compiled()
  await putIn(traceparentOf(1), [[routeKey('more'), route('/more')]])
  await settle()
  trace.gone(keyText(edge))
  trace.served(keyText(second), 100)
  const error = 'the stream of the proxy closed before it answered'
  expect(named('push to a proxy').map(({ ended }) => ended)).toEqual([{ error }, 'ok'])
})

const proxyOf = (index: number) => keyText(own('Dataplane', `d${index}`))
const traced = () => {
  const store = createMemoryStore({ clock: createVirtualClock(), random: createSeededRandom(1) })
  const recording = createRecordingTracer()
  return { ...recording, trace: createCompileTrace(recording.tracer, store) }
}

test('OT9 of a mark that reaches 1,000 proxies 20 have a span, and the span of the compilation counts all', () => {
  const { trace, named } = traced()
  trace.compile([traceparentOf(1)], 5, 1, () => {
    for (let index = 0; index < 1_000; index += 1) trace.sent(proxyOf(index), index + 1)
  })
  expect(named('push to a proxy')).toHaveLength(tracedProxiesMax)
  expect(named('compile')).toMatchObject([
    { attributes: { 'zonemesh.proxies': 1_000, 'zonemesh.proxies_traced': 20 }, ended: 'ok' },
  ])
  trace.sent(proxyOf(0), 1_001)
  expect(named('push to a proxy')).toHaveLength(20)
})

test('OT9 proxies that never answer hold at most 1,000 spans, and an answer makes room', () => {
  const { trace, spans, named } = traced()
  const compile = (mark: number) =>
    trace.compile([traceparentOf(mark)], mark, 1, () => {
      for (let index = 0; index < 20; index += 1) trace.sent(proxyOf(index), mark * 20 + index)
    })
  for (let mark = 1; mark <= 60; mark += 1) compile(mark)
  expect(named('push to a proxy')).toHaveLength(1_000)
  expect(named('compile').at(-1)).toMatchObject({
    attributes: { 'zonemesh.proxies': 20, 'zonemesh.proxies_traced': 0 },
  })
  trace.served(proxyOf(0), 10_000)
  compile(61)
  expect(spans.filter(({ ended }) => ended === undefined)).toHaveLength(970)
})

test('OT9 a compilation that fails ends its span, and later tables do not belong to it', () => {
  const { trace, spans } = traced()
  const failing = () =>
    trace.compile([traceparentOf(1)], 5, 1, () => {
      throw new Error('a bug')
    })
  expect(failing).toThrow('a bug')
  trace.sent(proxyOf(1), 1)
  expect(spans).toMatchObject([{ name: 'compile', ended: { error: 'it failed; the log has the reason' } }])
})
