import { create, toBinary } from '@bufbuild/protobuf'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { FrameSchema } from '../../gen/zonemesh/sync/v1/sync_pb.js'
import type { Traceparent } from '../../src/env/trace.ts'
import { createMemoryStore } from '../../src/store/memory.ts'
import type { Change, Store } from '../../src/store/store.ts'
import { decodeMessage, encodeMessage } from '../../src/sync/log/frames.ts'
import { createSharedReads } from '../../src/sync/shared-reads.ts'
import { createRecordingTracer, traceparentOf } from '../env/recording-tracer.ts'
import { createTestAuthority, type TestAuthority } from './certificates.ts'
import { createScene, names, put, until } from './mesh.ts'
import { callAsZone } from './raw-zone.ts'
import { at, changesIn, listed, live, mark, receiver, replace, rows } from './receiver.ts'

let authority: TestAuthority
let scene: ReturnType<typeof createScene>
beforeAll(async () => {
  authority = await createTestAuthority()
})
beforeEach(() => {
  scene = createScene(authority)
})
afterEach(() => scene.close())

const memory = () => createMemoryStore(scene.deps)
const commit = (store: Store, traceparent: Traceparent | undefined, ...changes: Change[]) =>
  store.commit({ changes, subject: 'test', intent: 'test', ...(traceparent ? { traceparent } : {}) })
const tracesOf = async (store: Store) =>
  (await store.records({ after: 0, limit: 100 })).flatMap(({ traceparent }) => traceparent ?? [])
const has = (store: Store, kind: string, count: number) =>
  until(store, async () => (await names(store, kind)).length === count)

describe('a trace over sync', () => {
  it('OT4 each zone continues the trace of a commit of the global, and its own commit carries its span', async () => {
    const [global, east, west] = [memory(), memory(), memory()]
    const server = await scene.server(global, { tracer: createRecordingTracer(1).tracer })
    const tracers = { east: createRecordingTracer(2), west: createRecordingTracer(3) }
    await commit(global, undefined, put('global', 'Policy', 'first'))
    scene.uplink(east, 'east', server.port, { tracer: tracers.east.tracer })
    scene.uplink(west, 'west', server.port, { tracer: tracers.west.tracer })
    await Promise.all([has(east, 'Policy', 1), has(west, 'Policy', 1)])
    await commit(global, traceparentOf(1), put('global', 'Policy', 'second'))
    await Promise.all([has(east, 'Policy', 2), has(west, 'Policy', 2)])
    for (const [zone, store] of [['east', east] as const, ['west', west] as const]) {
      const [span, ...others] = tracers[zone].spans
      expect(others).toEqual([])
      expect(span).toMatchObject({ name: 'apply a round', parent: traceparentOf(1), links: [], ended: 'ok' })
      expect(span?.attributes).toEqual({
        'zonemesh.peer': 'global',
        'zonemesh.rows': 1,
        'zonemesh.peer_revision': (await global.mark()).revision,
        'zonemesh.revision': (await store.mark()).revision,
      })
      expect(await tracesOf(store)).toEqual([span?.traceparent])
    }
  })

  it('OT4 the trace of a commit of one zone continues at the global, and from there at the other zone', async () => {
    const [global, east, west] = [memory(), memory(), memory()]
    const tracers = [createRecordingTracer(1), createRecordingTracer(2), createRecordingTracer(3)] as const
    const server = await scene.server(global, { tracer: tracers[0].tracer })
    scene.uplink(east, 'east', server.port, { tracer: tracers[1].tracer })
    scene.uplink(west, 'west', server.port, { tracer: tracers[2].tracer })
    await commit(global, undefined, put('global', 'Policy', 'first'))
    await Promise.all([has(east, 'Policy', 1), has(west, 'Policy', 1)])
    await commit(west, traceparentOf(5), put('west', 'Service', 'echo'))
    await has(east, 'Service', 1)
    const [atGlobal] = tracers[0].spans
    expect(atGlobal).toMatchObject({ name: 'apply a round', parent: traceparentOf(5) })
    expect(tracers[1].spans).toMatchObject([{ name: 'apply a round', parent: atGlobal?.traceparent }])
    expect(tracers[2].spans).toEqual([])
  })

  it('OT4 a zone that does not trace keeps the context of the global in its commit', async () => {
    const [global, east] = [memory(), memory()]
    const server = await scene.server(global, { tracer: createRecordingTracer(1).tracer })
    scene.uplink(east, 'east', server.port)
    await commit(global, undefined, put('global', 'Policy', 'first'))
    await has(east, 'Policy', 1)
    await commit(global, traceparentOf(1), put('global', 'Policy', 'second'))
    await has(east, 'Policy', 2)
    expect(await tracesOf(east)).toEqual([traceparentOf(1)])
  })

  it('OT4 a zone gets the context only of a round of which it sees a row', async () => {
    const global = memory()
    const server = await scene.server(global, { tracer: createRecordingTracer(1).tracer })
    await commit(global, undefined, put('global', 'Policy', 'first'))
    const position = await global.mark()
    using west = await callAsZone(authority, server.port, 'west', { position })
    await west.next('welcome')
    await commit(global, traceparentOf(1), put('global', 'Certificate', 'c', { zone: 'east' }))
    expect(await west.next('mark')).toEqual({ type: 'mark', position: await global.mark() })
    await commit(global, traceparentOf(2), put('global', 'Certificate', 'c', { zone: 'west' }))
    expect(await west.next('mark', 1)).toMatchObject({ traceparents: [traceparentOf(2)] })
  })

  it('OT4 OT7 a global that does not trace sends no context', async () => {
    const global = memory()
    const server = await scene.server(global)
    await commit(global, undefined, put('global', 'Policy', 'first'))
    using west = await callAsZone(authority, server.port, 'west', { position: await global.mark() })
    await west.next('welcome')
    await commit(global, traceparentOf(1), put('global', 'Policy', 'second'))
    expect(await west.next('mark')).toEqual({ type: 'mark', position: await global.mark() })
  })

  it('OT4 zones at the same position share one read of the contexts', async () => {
    const stored = memory()
    const reads: unknown[] = []
    const shared = createSharedReads({
      ...stored,
      records(options) {
        reads.push(options)
        return stored.records(options)
      },
    })
    await commit(stored, traceparentOf(1), put('global', 'Policy', 'first'))
    await commit(stored, traceparentOf(2), put('global', 'Policy', 'second'))
    const all = await Promise.all([0, 0, 0, 1, 1].map((after) => shared.causesBetween(after, 2)))
    expect(all.map(({ length }) => length)).toEqual([2, 2, 2, 1, 1])
    expect(reads).toEqual([
      { after: 0, limit: 2 },
      { after: 1, limit: 1 },
    ])
  })
})

describe('the contexts of a mark', () => {
  it('OT4 they survive the encoding, and a mark without them has the same bytes as before', () => {
    const traced = { type: 'mark', position: at(3), traceparents: [traceparentOf(1), traceparentOf(2)] } as const
    expect(decodeMessage(encodeMessage(traced))).toEqual(traced)
    const plain = { type: 'mark', position: at(3) } as const
    const { revision, ...rest } = at(3)
    const former = create(FrameSchema, {
      message: { case: 'mark', value: { position: { ...rest, revision: BigInt(revision) } } },
    })
    expect(encodeMessage(plain)).toEqual(toBinary(FrameSchema, former))
    expect(decodeMessage(encodeMessage(plain))).toEqual(plain)
  })

  it('OT4 a peer may send anything: only well-formed contexts count, of the last 8', () => {
    const { revision, ...rest } = at(3)
    const from = (traceparents: string[]) => {
      const position = { ...rest, revision: BigInt(revision) }
      const frame = create(FrameSchema, { message: { case: 'mark', value: { position, traceparents } } })
      return decodeMessage(toBinary(FrameSchema, frame))
    }
    expect(from(['', 'x'.repeat(1_000_000), "'; --"])).toEqual({ type: 'mark', position: at(3) })
    const many = Array.from({ length: 10_000 }, (_, index) => traceparentOf(index))
    expect(from([...many, 'bad'])).toMatchObject({ traceparents: many.slice(-7) })
  })
})

describe('the contexts of rounds at the receiver', () => {
  const traced = (revision: number, ...numbers: number[]) =>
    ({ ...mark(revision), traceparents: numbers.map(traceparentOf) }) as const

  it('OT5 rounds that wait for the store are merged with their contexts, the newest last, each one once', () => {
    const step = receiver(at(1))
    step(rows(live('global', 'Policy', 'a')))
    expect(step(traced(2, 1))).toMatchObject([{ type: 'apply', causes: [traceparentOf(1)] }])
    step(rows(live('global', 'Policy', 'b')))
    step(traced(3, 2, 3))
    step(rows(live('global', 'Policy', 'c')))
    step(traced(4, 2, 4))
    const [, next] = step({ type: 'applied' })
    expect(next).toMatchObject({ type: 'apply', causes: [3, 2, 4].map(traceparentOf) })
    expect(changesIn(next ? [next] : [])).toEqual(['put global/Policy/default/b', 'put global/Policy/default/c'])
  })

  it('OT5 rows that were held are applied with the contexts of all rounds since', () => {
    const step = receiver(at(1))
    const here = listed(['a', 'b', 'c', 'd'].map((name) => live('global', 'Policy', name).key))
    step(replace(['global'], 2))
    step(traced(2, 1))
    expect(step(here)).toMatchObject([{ type: 'held', hold: { id: 'replacement:g' } }])
    step(rows(live('global', 'Policy', 'late', 3)))
    step(traced(3, 2))
    step(here)
    step({ type: 'released', hold: 'replacement:g' })
    expect(step(here).at(-1)).toMatchObject({ type: 'apply', causes: [traceparentOf(1), traceparentOf(2)] })
  })

  it('OT4 a round without a context is applied without one', () => {
    const step = receiver(at(1))
    step(rows(live('global', 'Policy', 'a')))
    const [apply] = step(mark(2))
    expect(apply).toMatchObject({ type: 'apply' })
    expect(apply).not.toHaveProperty('causes')
  })
})
