import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FrameSchema, ReplaceBegin_Reason, RowSchema, RowState } from '../../gen/zonemesh/sync/v1/sync_pb.js'
import type { JsonObject } from '../../src/base/base.ts'
import { decodeFrame, decodeMessage, encodeMessage, encodeRow } from '../../src/sync/log/frames.ts'
import { type Delivered, goodbyeCodes, type Message, noCounters } from '../../src/sync/log/messages.ts'

const word = fc.stringMatching(/^[a-zA-Z0-9._-]{0,12}$/)
const whole = fc.nat(2 ** 40)
const key = fc.record({ origin: word, kind: word, mesh: word, name: word })
const stamp = fc.record({ incarnation: whole, originRevision: whole, createdAtMs: whole, modifiedAtMs: whole })
const position = fc.record({ store: word, revision: whole, commitId: word })
const safeName = fc.string().filter((name) => name !== '__proto__')
const labels = fc.dictionary(safeName, fc.string(), { noNullPrototype: true })
// A spec passes through JSON text once, so that values such as -0 have the form that JSON gives them.
const spec = fc
  .dictionary(safeName, fc.jsonValue(), { noNullPrototype: true })
  .map((value): JsonObject => JSON.parse(JSON.stringify(value)))
const delivered: fc.Arbitrary<Delivered> = fc.oneof(
  fc
    .record({ key, stamp, labels, spec })
    .map(({ key, stamp, labels, spec }) => ({ key, stamp, state: 'live' as const, row: { key, stamp, labels, spec } })),
  fc.record({ key, stamp, state: fc.constantFrom('deleted' as const, 'forgotten' as const) }),
  fc.record({ key, stamp, state: fc.constant('deleted' as const), declared: fc.constant(true as const) }),
)
const counters = fc.record({
  rowsReceived: whole,
  rowsApplied: whole,
  rowsRefused: whole,
  bytesReceived: whole,
  proxies: fc.nat(9),
  proxiesConnected: fc.nat(9),
})
const verdict = fc.record({
  key: word,
  revision: whole,
  outcome: fc.constantFrom('accepted' as const, 'rejected' as const, 'quarantined' as const),
  reason: word,
  subject: word,
})
const optional = <T>(found: fc.Arbitrary<T>) => fc.option(found, { nil: undefined })
const hello = fc
  .record({
    protocol: fc.record({
      min: fc.integer({ min: 1, max: 9 }),
      max: fc.integer({ min: 1, max: 9 }),
      features: fc.array(word),
    }),
    ...{
      storeId: word,
      incarnation: whole,
      host: word,
      startedAtMs: whole,
      version: word,
      creditBytes: whole,
      replica: word,
    },
    ...{
      position: optional(position),
      uncovered: fc.array(word),
      reserve: fc.record({ below: whole, count: fc.nat(9) }),
      leaderTerm: optional(fc.integer({ min: 1, max: 2 ** 40 })),
    },
  })
  .map(({ leaderTerm, ...plain }) => ({ ...plain, ...(leaderTerm === undefined ? {} : { leaderTerm }) }))
const welcome = fc
  .record({
    ...{
      protocol: fc.nat(9),
      features: fc.array(word),
      storeId: word,
      epoch: whole,
      creditBytes: whole,
      version: word,
    },
    ...{ zone: word, host: word, formerIncarnation: whole, position: optional(position) },
    standing: fc.constantFrom('valid' as const, 'behind' as const, 'diverged' as const, 'new' as const),
    reserved: optional(fc.record({ below: fc.integer({ min: 1, max: 2 ** 40 }), before: whole })),
    recall: optional(spec),
  })
  .map(({ reserved, recall, ...plain }) => ({
    ...plain,
    ...(reserved ? { reserved } : {}),
    ...(recall ? { recall } : {}),
  }))
const message: fc.Arbitrary<Message> = fc.oneof(
  fc
    .array(delivered, { maxLength: 5 })
    .map((rows) => ({ type: 'rows' as const, rows, bytes: rows.reduce((sum, row) => sum + encodeRow(row).length, 0) })),
  fc.record({ type: fc.constant('mark' as const), position }),
  fc.record({
    type: fc.constant('replace' as const),
    origins: fc.array(word),
    position,
    reason: fc.constantFrom('new' as const, 'behind' as const, 'diverged' as const, 'late' as const),
  }),
  fc.record({ type: fc.constant('credit' as const), bytes: whole }),
  fc.record({ type: fc.constant('release' as const), hold: word }),
  fc.record({
    type: fc.constant('goodbye' as const),
    goodbye: fc.record({ code: fc.constantFrom(...goodbyeCodes), reason: fc.string() }),
  }),
  fc.record({
    type: fc.constant('bookmark' as const),
    bookmark: fc.record({
      sent: whole,
      mark: whole,
      holds: fc.array(fc.record({ id: word, origin: word, reason: word, removals: fc.nat(9) }), { maxLength: 2 }),
      blocked: word,
      stored: whole,
      served: whole,
      verdicts: fc.array(verdict, { maxLength: 2 }),
      counters,
      silentProxies: fc.array(word),
      wallClockMs: whole,
      sentAtMs: fc.nat(9).map((atMs) => atMs + 1),
      echoMs: fc.nat(9).map((atMs) => atMs + 1),
    }),
  }),
  fc.record({ type: fc.constant('hello' as const), hello }),
  fc.record({ type: fc.constant('welcome' as const), welcome }),
  fc.record({
    type: fc.constant('report' as const),
    report: fc.record({
      reset: fc.boolean(),
      changed: fc.array(fc.record({ key: word, value: spec }), { maxLength: 3 }),
      removed: fc.array(word),
    }),
  }),
)

describe('frames', () => {
  it('Y24 every message is decoded as it was encoded', () => {
    fc.assert(fc.property(message, (sent) => void expect(decodeMessage(encodeMessage(sent))).toEqual(sent)))
  })

  it('Y24 the hand-written encoder of row frames produces the bytes of the generated code', () => {
    const key = { origin: 'global', kind: 'Policy', mesh: 'a', name: 'b' }
    const stamp = { incarnation: 1, originRevision: 1, createdAtMs: 1, modifiedAtMs: 1 }
    const rowOf = (length: number): Delivered => {
      const row = { key, stamp, labels: {}, spec: { text: 'x'.repeat(length) } }
      return { key, stamp, state: 'live', row }
    }
    fc.assert(
      fc.property(
        fc.array(fc.nat(20_000), { maxLength: 5 }),
        fc.oneof(fc.constant(0), fc.maxSafeNat()),
        (lengths, number) => {
          const rows = lengths.map(rowOf)
          const value = { rows: rows.map(encodeRow) }
          const init = { message: { case: 'rows' as const, value }, number: BigInt(number) }
          expect(encodeMessage({ type: 'rows', rows, bytes: 0 }, number)).toEqual(
            toBinary(FrameSchema, create(FrameSchema, init)),
          )
        },
      ),
    )
  })

  it.each([0, 1, 127, 128, 16_383, 16_384, 2 ** 40])(
    'Y2 frame %i carries its number, with rows and without',
    (number) => {
      const key = { origin: 'global', kind: 'Policy', mesh: 'a', name: 'b' }
      const stamp = { incarnation: 1, originRevision: 1, createdAtMs: 1, modifiedAtMs: 1 }
      const rows: Message = { type: 'rows', rows: [{ key, stamp, state: 'deleted' }], bytes: 0 }
      expect(decodeFrame(encodeMessage(rows, number))).toMatchObject({ number, message: { type: 'rows' } })
      expect(decodeFrame(encodeMessage({ type: 'credit', bytes: 5 }, number)).number).toBe(number)
      expect(decodeFrame(encodeMessage({ type: 'credit', bytes: 5 })).number).toBe(0)
    },
  )

  it('Y6 a version is encoded once, however many zones it is sent to', () => {
    const key = { origin: 'global', kind: 'Policy', mesh: 'a', name: 'b' }
    const stamp = { incarnation: 1, originRevision: 1, createdAtMs: 1, modifiedAtMs: 1 }
    const row = { key, stamp, labels: {}, spec: {} }
    expect(encodeRow({ key, stamp, state: 'live', row })).toBe(encodeRow({ key, stamp, state: 'live', row }))
    const removal: Delivered = { key, stamp, state: 'deleted' }
    expect(encodeRow(removal)).toBe(encodeRow(removal))
  })

  it('L11 a spec keeps its text, with unknown fields and the order of its members', () => {
    fc.assert(
      fc.property(spec, (value) => {
        const key = { origin: 'global', kind: 'Future', mesh: '', name: 'a' }
        const stamp = { incarnation: 1, originRevision: 1, createdAtMs: 1, modifiedAtMs: 1 }
        const row: Delivered = { key, stamp, state: 'live', row: { key, stamp, labels: {}, spec: value } }
        const read = decodeMessage(encodeMessage({ type: 'rows', rows: [row], bytes: 0 }))
        expect(read?.type === 'rows' && JSON.stringify(read.rows[0]?.row?.spec)).toBe(JSON.stringify(value))
      }),
    )
  })

  it('Y24 damaged bytes throw or decode to another message, and never crash or block the process', () => {
    fc.assert(
      fc.property(message, fc.nat(), fc.nat(255), (sent, at, byte) => {
        const bytes = Uint8Array.from(encodeMessage(sent))
        if (bytes.length > 0) bytes[at % bytes.length] = byte
        try {
          decodeMessage(bytes)
        } catch (thrown) {
          expect(thrown).toBeInstanceOf(Error)
        }
      }),
    )
  })

  it('Y24 a key part with a "/" is refused, because it would be another key', () => {
    const key = { origin: 'global', kind: 'Policy', mesh: 'a/b', name: 'c' }
    const stamp = { incarnation: 1, originRevision: 1, createdAtMs: 1, modifiedAtMs: 1 }
    const bytes = encodeMessage({ type: 'rows', rows: [{ key, stamp, state: 'deleted' }], bytes: 0 })
    expect(() => decodeMessage(bytes)).toThrow('"/"')
  })

  const decodeInit = (message: NonNullable<MessageInitShape<typeof FrameSchema>['message']>) =>
    decodeMessage(toBinary(FrameSchema, create(FrameSchema, { message })))
  const decodeRowInit = (init: MessageInitShape<typeof RowSchema>) =>
    decodeInit({ case: 'rows', value: { rows: [toBinary(RowSchema, create(RowSchema, init))] } })

  it('Y23 values of a later protocol are read as the most careful known value', () => {
    const position = { store: 's', revision: 1n, commitId: 'c' }
    expect(
      decodeInit({ case: 'replaceBegin', value: { origins: [], position, reason: ReplaceBegin_Reason.UNSPECIFIED } }),
    ).toMatchObject({
      reason: 'diverged',
    })
    expect(decodeInit({ case: 'goodbye', value: { code: 'later', reason: 'r' } })).toMatchObject({
      goodbye: { code: 'failed', reason: 'r' },
    })
    expect(decodeInit({ case: 'welcome', value: { standing: 'later' } })).toMatchObject({
      welcome: { standing: 'new' },
    })
    expect(decodeInit({ case: 'bookmark', value: { verdicts: [{ outcome: 'later' }] } })).toMatchObject({
      bookmark: { verdicts: [{ outcome: 'quarantined' }], counters: noCounters },
    })
    expect(decodeInit({ case: undefined })).toBeUndefined()
  })

  it('Y23 a zone of a former protocol offers only its own version', () => {
    const offer = (protocolMin: number) => decodeInit({ case: 'hello', value: { protocolMin, protocolMax: 3 } })
    expect(offer(0)).toMatchObject({ hello: { protocol: { min: 3, max: 3 } } })
    expect(offer(1)).toMatchObject({ hello: { protocol: { min: 1, max: 3 } } })
  })

  it('Y41 a zone that needs no numbers requests none', () => {
    const plain = {
      ...{ protocol: { min: 1, max: 1, features: [] }, storeId: 's', incarnation: 1, host: 'h', startedAtMs: 0 },
      ...{ version: 'v', position: undefined, creditBytes: 1, replica: 'r', uncovered: [] },
    }
    const decoded = decodeMessage(encodeMessage({ type: 'hello', hello: plain }))
    expect(decoded).toMatchObject({ hello: { reserve: { below: 0, count: 0 } } })
  })

  const text = (value: string) => new TextEncoder().encode(value)
  const notUtf8 = Uint8Array.from(text('{"a":"?"}'), (byte) => (byte === 0x3f ? 0xff : byte))
  it.each([
    ['a mark without a position', () => decodeInit({ case: 'mark', value: {} }), 'a mark without a position'],
    ['a row with an unknown state', () => decodeRowInit({ state: RowState.UNSPECIFIED }), 'the unknown state 0'],
    ['a list as content', () => decodeRowInit({ state: RowState.LIVE, spec: text('[]') }), 'not a JSON object'],
    ['null as content', () => decodeRowInit({ state: RowState.LIVE, spec: text('null') }), 'not a JSON object'],
    ['a text as content', () => decodeRowInit({ state: RowState.LIVE, spec: text('"x"') }), 'not a JSON object'],
    ['content that is no UTF-8', () => decodeRowInit({ state: RowState.LIVE, spec: notUtf8 }), 'not valid'],
    ['a "/" in an origin', () => decodeRowInit({ origin: 'a/b' }), '"/"'],
    ['a "/" in a kind', () => decodeRowInit({ kind: 'a/b' }), '"/"'],
    ['a "/" in a name', () => decodeRowInit({ name: 'a/b' }), '"/"'],
  ])('Y26 a frame cannot be read if it has %s', (_fault, read, reason) => expect(read).toThrow(reason))

  it('Y20 content with more than 128 levels is replaced by the reason', () => {
    const nested = (levels: number) => `${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}`
    const specOf = (levels: number) => {
      const decoded = decodeRowInit({ state: RowState.LIVE, spec: text(nested(levels)) })
      return decoded?.type === 'rows' ? decoded.rows[0]?.row?.spec : undefined
    }
    expect(JSON.stringify(specOf(128))).toBe(nested(128))
    expect(specOf(129)).toEqual({ refused: 'the content nests deeper than 128 levels' })
  })
})
