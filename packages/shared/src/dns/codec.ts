/**
 * The part of the DNS wire format that a resolver of A records needs (RFC 1035, RFC 6891). Pure, and safe for any
 * bytes.
 */

export const qtypes = { a: 1, soa: 6, aaaa: 28, opt: 41, any: 255 } as const
export const rcodes = { noError: 0, formErr: 1, servFail: 2, nxDomain: 3, notImp: 4, refused: 5, badVers: 16 } as const
export type Rcode = (typeof rcodes)[keyof typeof rcodes]

export interface Query {
  readonly id: number
  readonly opcode: number
  readonly recursionDesired: boolean
  /** The name as in the question, with its letter case, without the final dot. */
  readonly name: string
  readonly labels: readonly Uint8Array[]
  readonly qtype: number
  readonly qclass: number
  /** The largest answer that the client accepts over UDP; undefined without EDNS0. */
  readonly udpBytes: number | undefined
  readonly ednsVersion: number
}

/** An unreadable query, which is answered with this code. Bytes without an id, and answers, are dropped instead. */
export interface Malformed {
  readonly id: number
  readonly opcode: number
  readonly rcode: Rcode
}

export type Parsed =
  | { readonly type: 'query'; readonly query: Query }
  | { readonly type: 'malformed'; readonly malformed: Malformed }
  | { readonly type: 'drop' }

const headerBytes = 12
const nameBytesMax = 255
const pointersMax = 16

/** Reads a query. Never throws. */
export function parseQuery(bytes: Uint8Array): Parsed {
  if (bytes.length < headerBytes) return { type: 'drop' }
  const view = viewOf(bytes)
  const id = view.getUint16(0)
  const flags = view.getUint16(2)
  if (flags & 0x8000) return { type: 'drop' }
  const opcode = (flags >> 11) & 15
  const malformed = (rcode: Rcode): Parsed => ({ type: 'malformed', malformed: { id, opcode, rcode } })
  if (opcode !== 0) return malformed(rcodes.notImp)
  if (view.getUint16(4) !== 1) return malformed(rcodes.formErr)
  const question = readName(bytes, headerBytes)
  if (!question || question.next + 4 > bytes.length) return malformed(rcodes.formErr)
  const records = view.getUint16(6) + view.getUint16(8) + view.getUint16(10)
  const edns = readEdns(bytes, question.next + 4, records)
  if (edns === 'malformed') return malformed(rcodes.formErr)
  return {
    type: 'query',
    query: {
      id,
      opcode,
      recursionDesired: (flags & 0x0100) !== 0,
      name: question.labels.map(latin).join('.'),
      labels: question.labels,
      qtype: view.getUint16(question.next),
      qclass: view.getUint16(question.next + 2),
      udpBytes: edns?.udpBytes,
      ednsVersion: edns?.version ?? 0,
    },
  }
}

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

/** One character per byte, so that no byte is lost. A dot inside a label is escaped, so that it is no separator. */
const latin = (label: Uint8Array): string =>
  [...label].map((byte) => (byte === 0x2e ? '\\.' : String.fromCharCode(byte))).join('')

/**
 * Reads a name at an offset and follows compression pointers. Undefined if it leaves the message, loops, or is too
 * long.
 */
export function readName(
  bytes: Uint8Array,
  start: number,
): { readonly labels: readonly Uint8Array[]; readonly next: number } | undefined {
  const labels: Uint8Array[] = []
  let offset = start
  let next: number | undefined
  let total = 1
  for (let pointers = 0; ; ) {
    const length = bytes[offset]
    if (length === undefined) return undefined
    if (length === 0) return { labels, next: next ?? offset + 1 }
    if ((length & 0xc0) === 0xc0) {
      const low = bytes[offset + 1]
      if (low === undefined || pointers++ >= pointersMax) return undefined
      next ??= offset + 2
      offset = ((length & 0x3f) << 8) | low
      continue
    }
    total += length + 1
    if (length > 63 || total > nameBytesMax || offset + 1 + length > bytes.length) return undefined
    labels.push(bytes.subarray(offset + 1, offset + 1 + length))
    offset += 1 + length
  }
}

interface Edns {
  readonly udpBytes: number
  readonly version: number
}

function readEdns(bytes: Uint8Array, start: number, records: number): Edns | undefined | 'malformed' {
  const view = viewOf(bytes)
  let offset = start
  let found: Edns | undefined
  for (let index = 0; index < records; index++) {
    const owner = readName(bytes, offset)
    if (!owner || owner.next + 10 > bytes.length) return 'malformed'
    const end = owner.next + 10 + view.getUint16(owner.next + 8)
    if (end > bytes.length) return 'malformed'
    if (view.getUint16(owner.next) === qtypes.opt) {
      if (found || owner.labels.length > 0) return 'malformed'
      found = { udpBytes: Math.max(512, view.getUint16(owner.next + 2)), version: bytes[owner.next + 5] ?? 0 }
    }
    offset = end
  }
  return found
}

export interface Reply {
  readonly rcode: Rcode
  readonly authoritative: boolean
  readonly recursionAvailable: boolean
  readonly addresses: readonly string[]
  readonly ttlSeconds: number
  /** Adds the SOA of this domain, in negative answers and in answers to SOA questions. */
  readonly soa?: {
    readonly domain: string
    readonly negativeTtlSeconds: number
    /** The question is for the SOA, so it is in the answer section. */
    readonly isAnswer?: boolean
  }
  readonly truncated?: boolean
}

/** The bytes of an answer. It repeats the question unchanged. An OPT record answers an OPT record. */
export function encodeReply(query: Query, reply: Reply): Uint8Array {
  const out = new Writer()
  const flags =
    0x8000 |
    (reply.authoritative ? 0x0400 : 0) |
    (reply.truncated ? 0x0200 : 0) |
    (query.recursionDesired ? 0x0100 : 0) |
    (reply.recursionAvailable ? 0x0080 : 0) |
    (reply.rcode & 15)
  out
    .u16(query.id)
    .u16(flags)
    .u16(1)
    .u16(reply.addresses.length + (reply.soa?.isAnswer ? 1 : 0))
    .u16(reply.soa && !reply.soa.isAnswer ? 1 : 0)
  out.u16(query.udpBytes === undefined ? 0 : 1)
  for (const label of query.labels) out.u8(label.length).raw(label)
  out.u8(0).u16(query.qtype).u16(query.qclass)
  for (const address of reply.addresses) {
    out
      .u16(0xc000 | headerBytes)
      .u16(qtypes.a)
      .u16(1)
      .u32(reply.ttlSeconds)
      .u16(4)
    out.raw(Uint8Array.from(address.split('.').map(Number)))
  }
  if (reply.soa) writeSoa(out, reply.soa.domain, reply.soa.negativeTtlSeconds)
  if (query.udpBytes !== undefined)
    out
      .u8(0)
      .u16(qtypes.opt)
      .u16(udpBytesMax)
      .u8(reply.rcode >> 4)
      .u8(0)
      .u16(0)
      .u16(0)
  return out.bytes()
}

/** The largest UDP message that we accept and send. Such messages are not fragmented. */
export const udpBytesMax = 1232

function writeSoa(out: Writer, domain: string, negativeTtlSeconds: number): void {
  const apex = domain.split('.').map((label) => new TextEncoder().encode(label))
  const name = (first: readonly string[]) => {
    const target = new Writer()
    for (const label of [...first.map((text) => new TextEncoder().encode(text)), ...apex])
      target.u8(label.length).raw(label)
    return target.u8(0).bytes()
  }
  const data = new Writer()
  data
    .raw(name(['ns']))
    .raw(name(['hostmaster']))
    .u32(1)
    .u32(3600)
    .u32(600)
    .u32(86400)
    .u32(negativeTtlSeconds)
  const bytes = data.bytes()
  out.raw(name([])).u16(qtypes.soa).u16(1).u32(negativeTtlSeconds).u16(bytes.length).raw(bytes)
}

/** The answer to an unreadable query: only a header with the code. */
export const encodeMalformed = ({ id, opcode, rcode }: Malformed): Uint8Array =>
  new Writer()
    .u16(id)
    .u16(0x8000 | (opcode << 11) | rcode)
    .u16(0)
    .u16(0)
    .u16(0)
    .u16(0)
    .bytes()

/** A question for the A records of a name. Undefined if DNS cannot encode the name. */
export function encodeQuestion(id: number, name: string): Uint8Array | undefined {
  const out = new Writer().u16(id).u16(0x0100).u16(1).u16(0).u16(0).u16(1)
  for (const label of name.replace(/\.$/, '').split('.')) {
    const bytes = new TextEncoder().encode(label)
    if (bytes.length === 0 || bytes.length > 63) return undefined
    out.u8(bytes.length).raw(bytes)
  }
  return out.u8(0).u16(qtypes.a).u16(1).u8(0).u16(qtypes.opt).u16(udpBytesMax).u32(0).u16(0).bytes()
}

export interface AddressAnswer {
  readonly id: number
  readonly rcode: number
  readonly authoritative: boolean
  readonly truncated: boolean
  readonly addresses: readonly string[]
  readonly ttlSeconds: number | undefined
}

/** Reads the A records of an answer. Undefined if the bytes are not an answer. */
export function parseAnswer(bytes: Uint8Array): AddressAnswer | undefined {
  if (bytes.length < headerBytes) return undefined
  const view = viewOf(bytes)
  const flags = view.getUint16(2)
  if (!(flags & 0x8000)) return undefined
  let offset = headerBytes
  for (let index = 0; index < view.getUint16(4); index++) {
    const question = readName(bytes, offset)
    if (!question) return undefined
    offset = question.next + 4
  }
  const addresses: string[] = []
  let ttlSeconds: number | undefined
  for (let index = 0; index < view.getUint16(6); index++) {
    const owner = readName(bytes, offset)
    if (!owner || owner.next + 10 > bytes.length) return undefined
    const length = view.getUint16(owner.next + 8)
    const data = bytes.subarray(owner.next + 10, owner.next + 10 + length)
    if (data.length < length) return undefined
    if (view.getUint16(owner.next) === qtypes.a && length === 4) {
      addresses.push(data.join('.'))
      ttlSeconds = view.getUint32(owner.next + 4)
    }
    offset = owner.next + 10 + length
  }
  return {
    id: view.getUint16(0),
    rcode: flags & 15,
    authoritative: (flags & 0x0400) !== 0,
    truncated: (flags & 0x0200) !== 0,
    addresses,
    ttlSeconds,
  }
}

class Writer {
  readonly #bytes: number[] = []
  u8(value: number): this {
    this.#bytes.push(value & 255)
    return this
  }
  u16(value: number): this {
    return this.u8(value >> 8).u8(value)
  }
  u32(value: number): this {
    return this.u16(value >>> 16).u16(value & 0xffff)
  }
  raw(bytes: Uint8Array): this {
    for (const byte of bytes) this.#bytes.push(byte)
    return this
  }
  bytes(): Uint8Array {
    return Uint8Array.from(this.#bytes)
  }
}
