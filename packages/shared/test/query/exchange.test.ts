import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import { err, type JsonObject, ok } from '@zonemesh/shared/base/base.ts'
import { createVirtualClock } from '@zonemesh/shared/env/clock.ts'
import { expect, test } from 'vitest'
import { QuerySchema } from '../../gen/zonemesh/query/v1/query_pb.js'
import { createExchange, type Exchange, type QueryHandlers } from '../../src/query/exchange.ts'
import { queryFrom, queryMessage } from '../../src/query/frames.ts'
import type { Packing } from '../../src/query/packing.ts'
import type { QueryFrame } from '../../src/query/query.ts'

const never = new AbortController().signal
const untouched: Packing = { pack: async (bytes) => bytes, unpack: async (bytes) => bytes }

/** Two peers whose frames travel as bytes. `held` frames wait until they are delivered. */
function createPeers(handlers: QueryHandlers, options: { packing?: Packing; turn?: () => Promise<void> } = {}) {
  const clock = createVirtualClock()
  const { packing, turn = async () => {} } = options
  const sent: QueryFrame['type'][] = []
  const travelled = (frame: QueryFrame): QueryFrame => {
    sent.push(frame.type)
    const bytes = toBinary(QuerySchema, create(QuerySchema, queryMessage(frame)))
    return queryFrom(fromBinary(QuerySchema, bytes)) ?? frame
  }
  const deps = { clock, turn, ...(packing ? { packing } : {}) }
  const asker: Exchange = createExchange({ ...deps, handlers: {}, send: (frame) => answerer.receive(travelled(frame)) })
  const answerer = createExchange({ ...deps, handlers, send: (frame) => asker.receive(travelled(frame)) })
  return { clock, asker, answerer, sent }
}

test('QX8 a query is answered by its handler, and its answer is compressed on the way', async () => {
  const text = 'x'.repeat(1_000_000)
  const { asker, sent } = createPeers({ echo: async (request) => ok({ ...request, text }) })
  expect(await asker.ask('echo', { a: [1] }, never)).toEqual(ok({ a: [1], text }))
  expect(sent).toEqual(['ask', 'answer'])
})

test.each<[string, string, QueryHandlers, string, RegExp]>([
  ['that is not known', 'other', {}, 'unknown', /^the query "other" is not known in this version$/],
  ['with the name of a property', 'toString', {}, 'unknown', /toString/],
  ['that is refused', 'q', { q: async () => err('no such proxy') }, 'refused', /^no such proxy$/],
  ['that fails', 'q', { q: () => Promise.reject(new Error('broken')) }, 'failed', /^broken$/],
])('QX8 a query %s ends with the reason', async (_title, name, handlers, code, reason) => {
  const { asker } = createPeers(handlers)
  expect(await asker.ask(name, {}, never)).toEqual(err({ code, reason: expect.stringMatching(reason) }))
})

test('QX9 a query without an answer ends after 10 s, and its handler is aborted', async () => {
  const signals: AbortSignal[] = []
  const { asker, clock, sent } = createPeers({
    slow: (_request, signal) => {
      signals.push(signal)
      return new Promise(() => {})
    },
  })
  const asked = asker.ask('slow', {}, never)
  clock.advance(9_999)
  expect(signals.map(({ aborted }) => aborted)).toEqual([false])
  clock.advance(1)
  expect(await asked).toEqual(err({ code: 'late', reason: 'no answer within 10 s' }))
  expect(signals.map(({ aborted }) => aborted)).toEqual([true])
  expect(sent).toEqual(['ask', 'cancel'])
})

test('QX9 a caller that leaves cancels its query, also before it has asked', async () => {
  const signals: AbortSignal[] = []
  const { asker } = createPeers({
    slow: (_request, signal) => {
      signals.push(signal)
      return new Promise(() => {})
    },
  })
  const caller = new AbortController()
  const asked = asker.ask('slow', {}, caller.signal)
  caller.abort()
  expect((await asked).ok).toBe(false)
  expect(signals.map(({ aborted }) => aborted)).toEqual([true])
  expect(await asker.ask('slow', {}, caller.signal)).toMatchObject(err({ code: 'cancelled' }))
})

test('QX4 the end of a session ends the queries of both sides', async () => {
  const signals: AbortSignal[] = []
  const { asker, answerer } = createPeers({
    slow: (_request, signal) => {
      signals.push(signal)
      return new Promise(() => {})
    },
  })
  const asked = asker.ask('slow', {}, never)
  answerer.close('gone')
  asker.close('the session with west has ended')
  expect(await asked).toEqual(err({ code: 'ended', reason: 'the session with west has ended' }))
  expect(signals.map(({ aborted }) => aborted)).toEqual([true])
})

test('QX5 parts are sent only when it is their turn', async () => {
  const turns: (() => void)[] = []
  const turn = () => new Promise<void>((resolve) => turns.push(resolve))
  const { asker, sent } = createPeers({ q: async () => ok({ text: 'x'.repeat(70_000) }) }, { packing: untouched, turn })
  const asked = asker.ask('q', {}, never)
  for (let step = 0; step < 20; step += 1) await Promise.resolve()
  expect([turns.length, sent]).toEqual([1, ['ask']])
  turns[0]?.()
  for (let step = 0; step < 20; step += 1) await Promise.resolve()
  expect([turns.length, sent]).toEqual([2, ['ask', 'answer']])
  turns[1]?.()
  expect((await asked).ok).toBe(true)
})

test.each<[string, Packing['pack'], RegExp]>([
  ['is not compressed', async (bytes) => bytes, /^the answer cannot be read: /],
  ['is no JSON object', async () => new TextEncoder().encode('[1]'), /expected a JSON object/],
  ['nests too deeply', async () => new TextEncoder().encode(`{"a":${'['.repeat(500)}${']'.repeat(500)}}`), /nests/],
])('QX10 an answer that %s fails alone', async (title, pack, reason) => {
  const packing = title === 'is not compressed' ? { pack } : { pack, unpack: untouched.unpack }
  const clock = createVirtualClock()
  const answerer: Exchange = createExchange({
    clock,
    turn: async () => {},
    handlers: { q: async (): Promise<{ ok: true; value: JsonObject }> => ok({}) },
    packing: { ...untouched, pack },
    send: (frame) => asker.receive(frame),
  })
  const asker = createExchange({
    clock,
    turn: async () => {},
    handlers: {},
    ...(title === 'is not compressed' ? {} : { packing: { ...untouched, ...packing } }),
    send: (frame) => answerer.receive(frame),
  })
  const [first, second] = await Promise.all([asker.ask('q', {}, never), asker.ask('q', {}, never)])
  expect([first, second]).toEqual([
    err({ code: 'failed', reason: expect.stringMatching(reason) }),
    err({ code: 'failed', reason: expect.stringMatching(reason) }),
  ])
})

test('QX10 an answer that would unpack to more than 64 MiB fails', async () => {
  const clock = createVirtualClock()
  const { gzipSync } = await import('node:zlib')
  const bomb = gzipSync(Buffer.alloc(65 * 1024 * 1024, 0x20))
  const packing: Packing = { ...untouched, pack: async () => bomb }
  const answerer: Exchange = createExchange({
    ...{ clock, packing, turn: async () => {}, handlers: { q: async () => ok({}) } },
    send: (frame) => asker.receive(frame),
  })
  const asker = createExchange({ clock, turn: async () => {}, handlers: {}, send: (frame) => answerer.receive(frame) })
  expect(await asker.ask('q', {}, never)).toMatchObject(err({ code: 'failed' }))
})
