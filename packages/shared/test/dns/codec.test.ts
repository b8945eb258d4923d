import { expect, test } from 'vitest'
import {
  encodeMalformed,
  encodeQuestion,
  encodeReply,
  parseAnswer,
  parseQuery,
  type Query,
  rcodes,
  readName,
} from '../../src/dns/codec.ts'

const text = (label: string): number[] => [label.length, ...Buffer.from(label)]
const web = [...text('web'), 0]
const isA = [0, 1, 0, 1]
/** A record without a name of its own: type, class, TTL and data. */
const record = (type: number, data: readonly number[], length = data.length) => [
  ...[0, 0, type, 0, 1, 0, 0, 0, 9, length >> 8, length & 255],
  ...data,
]
const opt = (bytes: number, version = 0, owner: readonly number[] = [0]) => [
  ...owner,
  ...[0, 41, bytes >> 8, bytes & 255, 0, version, 0, 0, 0, 0],
]

interface Message {
  readonly flags?: number
  readonly questions?: number
  /** The numbers of records in the answer, authority and additional sections. */
  readonly counts?: readonly [number, number, number]
  readonly body?: readonly number[]
}

const message = ({ flags = 0x0100, questions = 1, counts = [0, 0, 0], body = [...web, ...isA] }: Message) =>
  Uint8Array.from([0x12, 0x34, flags >> 8, flags & 255, 0, questions, ...counts.flatMap((one) => [0, one]), ...body])

const bytesOf = (hex: string) => Uint8Array.from(Buffer.from(hex.replace(/\s/g, ''), 'hex'))

function queryOf(given: Message): Query | undefined {
  const parsed = parseQuery(message(given))
  return parsed.type === 'query' ? parsed.query : undefined
}

test('D7 bytes without a whole header and answers are dropped, and a header alone is malformed', () => {
  const header = message({ body: [] })
  expect(header).toHaveLength(12)
  expect(parseQuery(header.subarray(0, 11))).toEqual({ type: 'drop' })
  expect(parseQuery(message({ flags: 0x8000 }))).toEqual({ type: 'drop' })
  expect(parseQuery(header)).toMatchObject({ type: 'malformed', malformed: { id: 0x1234, rcode: rcodes.formErr } })
})

test.each([1, 2, 15])('D7 opcode %i is repeated in the answer NOTIMP', (opcode) => {
  const parsed = parseQuery(message({ flags: opcode << 11 }))
  expect(parsed).toEqual({ type: 'malformed', malformed: { id: 0x1234, opcode, rcode: rcodes.notImp } })
  if (parsed.type !== 'malformed') return
  const flags = [0x80 | (opcode << 3), 4]
  expect([...encodeMalformed(parsed.malformed)]).toEqual([0x12, 0x34, ...flags, 0, 0, 0, 0, 0, 0, 0, 0])
})

test.each([
  ['a name that does not end', { body: text('web') }],
  ['no class', { body: [...web, ...isA.slice(0, 3)] }],
  ['fewer records than its header states', { counts: [0, 0, 1] }],
  ['a record without its data', { counts: [0, 0, 1], body: [...web, ...isA, ...record(1, [1, 2, 3], 4)] }],
  ['two OPT records', { counts: [0, 0, 2], body: [...web, ...isA, ...opt(600), ...opt(600)] }],
  ['an OPT record with a name', { counts: [0, 0, 1], body: [...web, ...isA, ...opt(600, 0, web)] }],
] satisfies [string, Message][])('D7 a query with %s gets FORMERR', (_what, given) => {
  expect(parseQuery(message(given))).toEqual({
    type: 'malformed',
    malformed: { id: 0x1234, opcode: 0, rcode: rcodes.formErr },
  })
})

test('D8 the OPT record is found behind records of all sections', () => {
  const records = [...record(1, [1, 2, 3, 4]), ...record(6, []), ...opt(600, 1)]
  expect(queryOf({ counts: [1, 1, 1], body: [...web, ...isA, ...records] })).toMatchObject({
    udpBytes: 600,
    ednsVersion: 1,
  })
  expect(queryOf({})).toMatchObject({ udpBytes: undefined, ednsVersion: 0 })
})

test.each([
  [0, 512],
  [511, 512],
  [513, 513],
])('D8 an offered size of %i bytes counts as %i', (offered, bytes) => {
  expect(queryOf({ counts: [0, 0, 1], body: [...web, ...isA, ...opt(offered)] })?.udpBytes).toBe(bytes)
})

test('D9 the flags of a query are read one by one', () => {
  expect([0x0100, 0x0001, 0x0000].map((flags) => queryOf({ flags })?.recursionDesired)).toEqual([true, false, false])
})

test('D9 a dot within a label is escaped, and no other character is', () => {
  expect(queryOf({ body: [...text('a.b'), ...text('c/d'), 0, ...isA] })?.name).toBe('a\\.b.c/d')
})

test('D9 a label has at most 63 bytes, and a name at most 255 with its lengths', () => {
  const label = (length: number) => [length, ...Array.from({ length }, () => 0x61)]
  const lengthsOf = (...lengths: number[]) =>
    readName(Uint8Array.from([...lengths.flatMap(label), 0]), 0)?.labels.map((one) => one.length)
  expect(lengthsOf(63)).toEqual([63])
  expect(lengthsOf(64)).toBeUndefined()
  expect(lengthsOf(63, 63, 63, 61)).toEqual([63, 63, 63, 61])
  expect(lengthsOf(63, 63, 63, 62)).toBeUndefined()
  expect(readName(Uint8Array.from([3, 0x61, 0x62]), 0)).toBeUndefined()
})

test('D9 a name follows at most 16 pointers, also beyond the first 256 bytes', () => {
  const chain = Uint8Array.from([0, ...Array.from({ length: 17 }, (_, at) => [0xc0, at === 0 ? 0 : 2 * at - 1]).flat()])
  expect(readName(chain, 2 * 16 - 1)).toEqual({ labels: [], next: 2 * 16 + 1 })
  expect(readName(chain, 2 * 17 - 1)).toBeUndefined()
  const far = new Uint8Array(300)
  far.set([...web], 0x0123)
  far.set([0xc1, 0x23], 0)
  expect(readName(far, 0)?.labels.map((label) => Buffer.from(label).toString())).toEqual(['web'])
})

const plain = { rcode: rcodes.noError, authoritative: false, recursionAvailable: false, addresses: [], ttlSeconds: 0 }

test.each([
  ['no flags', 0x0000, plain, 0x8000],
  ['recursion desired', 0x0100, plain, 0x8100],
  ['recursion available', 0x0000, { ...plain, recursionAvailable: true }, 0x8080],
  ['an authoritative answer', 0x0000, { ...plain, authoritative: true }, 0x8400],
  ['a truncated answer', 0x0000, { ...plain, truncated: true }, 0x8200],
  ['a code', 0x0000, { ...plain, rcode: rcodes.refused }, 0x8005],
] as const)('D9 the flags of an answer: %s', (_what, asked, reply, flags) => {
  const query = queryOf({ flags: asked })
  const bytes = query && encodeReply(query, reply)
  expect(bytes).toEqual(message({ flags }))
})

test('D8 an extended code is split between the header and the OPT record, which has a size, version 0 and no data', () => {
  const query = queryOf({ counts: [0, 0, 1], body: [...web, ...isA, ...opt(600, 1)] })
  expect(query && encodeReply(query, { ...plain, rcode: rcodes.badVers })).toEqual(
    message({ flags: 0x8100, counts: [0, 0, 1], body: [...web, ...isA, 0, 0, 41, 0x04, 0xd0, 1, 0, 0, 0, 0, 0] }),
  )
})

test('D4 an address is a record that refers to the name of the question, with the whole TTL', () => {
  const query = queryOf({})
  expect(query && encodeReply(query, { ...plain, addresses: ['240.0.0.1'], ttlSeconds: 0x12345678 })).toEqual(
    message({
      flags: 0x8100,
      counts: [1, 0, 0],
      body: [...web, ...isA, 0xc0, 12, ...isA, 0x12, 0x34, 0x56, 0x78, 0, 4, 240, 0, 0, 1],
    }),
  )
})

test.each([
  ['authority', undefined, [0, 1, 0]],
  ['answer', true, [1, 0, 0]],
] as const)(
  'D2 the SOA in the %s section has the name of the domain, its servers and its times',
  (_what, isAnswer, counts) => {
    const query = queryOf({})
    const soa = { domain: 'b.mesh', negativeTtlSeconds: 5, ...(isAnswer ? { isAnswer } : {}) }
    const domain = [...text('b'), ...text('mesh'), 0]
    const data = [
      ...[...text('ns'), ...domain],
      ...[...text('hostmaster'), ...domain],
      // Serial 1, refresh 3600 s, retry 600 s, expire 86400 s, negative TTL 5 s.
      ...bytesOf('00000001 00000e10 00000258 00015180 00000005'),
    ]
    expect(query && encodeReply(query, { ...plain, soa })).toEqual(
      message({
        flags: 0x8100,
        counts,
        body: [...web, ...isA, ...domain, 0, 6, 0, 1, 0, 0, 0, 5, 0, data.length, ...data],
      }),
    )
  },
)

test('D9 a question asks for addresses, recursion and answers of up to 1232 bytes', () => {
  const expected = message({ counts: [0, 0, 1], body: [...web, ...isA, 0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0, 0, 0] })
  expect(encodeQuestion(0x1234, 'web')).toEqual(expected)
  expect(encodeQuestion(0x1234, 'web.')).toEqual(expected)
})

test.each([
  ['', false],
  ['a..b', false],
  ['a'.repeat(63), true],
  ['a'.repeat(64), false],
])('D9 the name "%s" has a question: %s', (name, isPossible) =>
  expect(encodeQuestion(1, name) !== undefined).toBe(isPossible),
)

const answered = (given: Message) => parseAnswer(message({ flags: 0x8000, ...given }))

test('D9 only the bytes of an answer are read as one, and its flags one by one', () => {
  expect(answered({ flags: 0x0100 })).toBeUndefined()
  expect(answered({ flags: 0x0001 })).toBeUndefined()
  expect(parseAnswer(message({ flags: 0x8000 }).subarray(0, 11))).toBeUndefined()
  const flagsOf = (flags: number) => {
    const { authoritative, truncated, rcode } = answered({ flags }) ?? {}
    return [authoritative, truncated, rcode]
  }
  expect([0x8000, 0x8400, 0x8200, 0x8001].map(flagsOf)).toEqual([
    [false, false, 0],
    [true, false, 0],
    [false, true, 0],
    [false, false, 1],
  ])
})

test('D9 an answer has the addresses of its A records and the TTL of the last one, and other records are skipped', () => {
  const records = [...record(1, [10, 0, 0, 1]), ...record(28, [9, 9, 9, 9]), ...record(1, [9]), ...record(16, [])]
  expect(answered({ counts: [4, 0, 0], body: [...web, ...isA, ...records] })).toEqual({
    id: 0x1234,
    rcode: 0,
    authoritative: false,
    truncated: false,
    addresses: ['10.0.0.1'],
    ttlSeconds: 9,
  })
  expect(answered({})).toMatchObject({ addresses: [], ttlSeconds: undefined })
})

test.each([
  ['question', { body: text('web') }],
  ['record', { counts: [1, 0, 0], body: [...web, ...isA, ...record(16, []).slice(0, -1)] }],
  ['data of a record', { counts: [1, 0, 0], body: [...web, ...isA, ...record(1, [10, 0, 0], 4)] }],
] satisfies [string, Message][])('D9 an answer with an incomplete %s is not read', (_what, given) =>
  expect(answered(given)).toBeUndefined(),
)
