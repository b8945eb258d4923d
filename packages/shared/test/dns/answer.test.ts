import { expect, test } from 'vitest'
import { type AnswerContext, answer, type DnsTable, tableOf } from '../../src/dns/answer.ts'
import { parseAnswer } from '../../src/dns/codec.ts'

const udp: AnswerContext = { clientAddress: '127.0.0.1', transport: 'udp', recursionAvailable: false }
const table = tableOf(
  'mesh',
  30,
  new Map([
    ['web.mesh', ['240.0.0.1']],
    ['a.b.c.mesh', ['240.0.0.2']],
    ['api.shop.test', ['240.0.0.9']],
    ['empty.shop.test', []],
  ]),
)

interface Question {
  readonly qtype?: number
  readonly qclass?: number
  readonly offeredBytes?: number
}

function ask(
  name: string,
  { qtype = 1, qclass = 1, offeredBytes }: Question = {},
  { served = table, ...change }: Partial<AnswerContext> & { readonly served?: DnsTable } = {},
) {
  const labels = name.split('.').flatMap((label) => [label.length, ...Buffer.from(label)])
  const opt = offeredBytes === undefined ? [] : [0, 0, 41, offeredBytes >> 8, offeredBytes & 255, 0, 0, 0, 0, 0, 0]
  const header = [0, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, offeredBytes === undefined ? 0 : 1]
  const bytes = Uint8Array.from([...header, ...labels, 0, qtype >> 8, qtype & 255, qclass >> 8, qclass & 255, ...opt])
  const answered = answer(bytes, served, { ...udp, ...change })
  const sent = answered.type === 'answer' ? answered.bytes : undefined
  const parsed = sent && parseAnswer(sent)
  return {
    type: answered.type,
    bytes: sent,
    rcode: parsed?.rcode,
    authoritative: parsed?.authoritative,
    truncated: parsed?.truncated,
    addresses: parsed?.addresses,
    ttlSeconds: parsed?.ttlSeconds,
  }
}

const anyType = 255
const chaos = 3

test('D4 a question for any type or of any class gets the addresses, and another class is refused', () => {
  expect(ask('web.mesh', { qtype: anyType })).toMatchObject({ rcode: 0, addresses: ['240.0.0.1'] })
  expect(ask('web.mesh', { qclass: 255 })).toMatchObject({ rcode: 0, addresses: ['240.0.0.1'] })
  expect(ask('web.mesh', { qclass: chaos })).toMatchObject({ rcode: 5, authoritative: false, addresses: [] })
})

test('D6 a name of another domain is answered only if it has addresses here, in the class of the internet', () => {
  expect(ask('api.shop.test')).toMatchObject({ type: 'answer', ttlSeconds: 30 })
  expect(ask('api.shop.test', { qclass: chaos }).type).toBe('forward')
  expect(ask('empty.shop.test').type).toBe('forward')
})

test('D5 names above a name exist without addresses, but names beside or below it do not', () => {
  expect(['b.c.mesh', 'c.mesh', 'a.b.c.mesh', 'x.b.c.mesh', 'x.a.b.c.mesh'].map((name) => ask(name).rcode)).toEqual([
    0, 0, 0, 3, 3,
  ])
})

test('D5 clients keep a negative answer for one second', () => {
  const { bytes } = ask('nope.mesh')
  expect(bytes?.subarray(-4)).toEqual(Uint8Array.from([0, 0, 0, 1]))
})

test('D5 a table that cannot decide now is answered with SERVFAIL', () => {
  const served: DnsTable = { domain: 'mesh', ttlSeconds: 30, lookup: () => 'unknown' }
  expect(ask('web.mesh', {}, { served })).toMatchObject({ rcode: 2, authoritative: false, addresses: [] })
  // The domain itself always exists.
  expect(ask('mesh', {}, { served }).rcode).toBe(0)
})

test('D6 answers state whether this server forwards', () => {
  const flagsOf = (name: string, question: Question, recursionAvailable: boolean) =>
    (ask(name, question, { recursionAvailable }).bytes?.[3] ?? 0) & 0x80
  for (const [name, question] of [
    ['web.mesh', {}],
    ['api.shop.test', {}],
    ['web.mesh', { qclass: chaos }],
  ] as const)
    expect([flagsOf(name, question, true), flagsOf(name, question, false)]).toEqual([0x80, 0])
})

test.each([
  ['512 bytes over UDP', 9, 30, undefined, 'udp', 512],
  ['1232 bytes over UDP if the client offers more', 14, 74, 4096, 'udp', 1232],
  ['the offer of the client over UDP', 14, 29, 512, 'udp', 512],
  ['65535 bytes over TCP', 8, 4094, undefined, 'tcp', 65_535],
] as const)(
  'D8 an answer has up to %s, and is truncated beyond',
  (_what, labelBytes, count, offeredBytes, transport, max) => {
    const at = (bytes: number) => {
      const name = `${'a'.repeat(bytes)}.mesh`
      const served = tableOf('mesh', 30, new Map([[name, Array.from({ length: count }, () => '240.0.0.1')]]))
      return ask(name, offeredBytes === undefined ? {} : { offeredBytes }, { served, transport })
    }
    const [whole, beyond] = [at(labelBytes), at(labelBytes + 1)]
    expect([whole.bytes?.length, whole.truncated, whole.addresses?.length]).toEqual([max, false, count])
    expect([beyond.truncated, beyond.addresses]).toEqual([true, []])
  },
)
