import { create, toBinary } from '@bufbuild/protobuf'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FrameSchema } from '../../gen/zonemesh/sync/v1/sync_pb.js'
import type { JsonObject } from '../../src/base/base.ts'
import { decodeMessage, encodeMessage, encodeRow } from '../../src/sync/log/frames.ts'
import { type Delivered, goodbyeCodes, type Message } from '../../src/sync/log/messages.ts'

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
    }),
  }),
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
      fc.property(fc.array(fc.nat(20_000), { maxLength: 5 }), fc.maxSafeNat(), (lengths, number) => {
        const rows = lengths.map(rowOf)
        const value = { rows: rows.map(encodeRow) }
        const init = { message: { case: 'rows' as const, value }, number: BigInt(number) }
        expect(encodeMessage({ type: 'rows', rows, bytes: 0 }, number)).toEqual(
          toBinary(FrameSchema, create(FrameSchema, init)),
        )
      }),
    )
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
})
