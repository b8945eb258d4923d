import {
  encodeMalformed,
  encodeReply,
  parseQuery,
  type Query,
  qtypes,
  type Reply,
  rcodes,
  udpBytesMax,
} from './codec.ts'

/** The names of one domain. */
export interface DnsTable {
  /**
   * The domain for which this server is authoritative, in lower case, without outer dots. `lookup` may also have other
   * names.
   */
  readonly domain: string
  readonly ttlSeconds: number
  /**
   * Addresses of a name in lower case; `nodata` if only names below it exist; undefined if it does not exist; `unknown`
   * if the table cannot decide now: the answer is then SERVFAIL, which clients do not cache like a negative answer.
   */
  lookup(name: string, clientAddress: string): readonly string[] | 'nodata' | 'unknown' | undefined
}

const negativeTtlSeconds = 1
const classIn = 1
const classAny = 255

export type Answered =
  | { readonly type: 'answer'; readonly bytes: Uint8Array }
  /** The name belongs to another domain. */
  | { readonly type: 'forward'; readonly query: Query }
  | { readonly type: 'drop' }

export interface AnswerContext {
  readonly clientAddress: string
  readonly transport: 'udp' | 'tcp'
  /** Whether this server forwards: the RA bit of answers. */
  readonly recursionAvailable: boolean
}

/** Answers one message. Never throws, regardless of the bytes. */
export function answer(bytes: Uint8Array, table: DnsTable, context: AnswerContext): Answered {
  const parsed = parseQuery(bytes)
  if (parsed.type === 'drop') return parsed
  if (parsed.type === 'malformed') return { type: 'answer', bytes: encodeMalformed(parsed.malformed) }
  const { query } = parsed
  if (query.ednsVersion > 0) return plain(query, rcodes.badVers, context)
  const name = query.name.toLowerCase()
  if (name !== table.domain && !name.endsWith(`.${table.domain}`)) {
    const known = query.qclass === classIn ? table.lookup(name, context.clientAddress) : undefined
    return Array.isArray(known) && known.length > 0 ? foreign(query, known, table, context) : { type: 'forward', query }
  }
  if (query.qclass !== classIn && query.qclass !== classAny) return plain(query, rcodes.refused, context)
  const found = name === table.domain ? 'nodata' : table.lookup(name, context.clientAddress)
  if (found === 'unknown') return plain(query, rcodes.servFail, context)
  const isForAddress = query.qtype === qtypes.a || query.qtype === qtypes.any
  const reply: Reply = {
    rcode: found === undefined ? rcodes.nxDomain : rcodes.noError,
    authoritative: true,
    recursionAvailable: context.recursionAvailable,
    addresses: Array.isArray(found) && isForAddress ? found : [],
    ttlSeconds: table.ttlSeconds,
  }
  const isForSoa = query.qtype === qtypes.soa || query.qtype === qtypes.any
  const soa = { domain: table.domain, negativeTtlSeconds, isAnswer: name === table.domain && isForSoa }
  return { type: 'answer', bytes: fit(query, reply.addresses.length > 0 ? reply : { ...reply, soa }, context) }
}

/**
 * Answers a name of another domain that leads into the mesh. Only its A and AAAA records are ours; others are
 * forwarded.
 */
function foreign(query: Query, addresses: readonly string[], table: DnsTable, context: AnswerContext): Answered {
  if (query.qtype !== qtypes.a && query.qtype !== qtypes.aaaa) return { type: 'forward', query }
  const { recursionAvailable } = context
  const { ttlSeconds } = table
  const shown = query.qtype === qtypes.a ? addresses : []
  const reply = { rcode: rcodes.noError, authoritative: true, recursionAvailable, addresses: shown, ttlSeconds }
  return { type: 'answer', bytes: fit(query, reply, context) }
}

/** An answer with a code and no records. */
export function plain(
  query: Query,
  rcode: Reply['rcode'],
  context: AnswerContext,
): Extract<Answered, { type: 'answer' }> {
  const { recursionAvailable } = context
  const reply = { rcode, authoritative: false, recursionAvailable, addresses: [], ttlSeconds: 0 }
  return { type: 'answer', bytes: encodeReply(query, reply) }
}

/** An answer that is too large for UDP is sent without records and with TC set, so that the client retries over TCP. */
function fit(query: Query, reply: Reply, context: AnswerContext): Uint8Array {
  const bytes = encodeReply(query, reply)
  const limit = context.transport === 'tcp' ? 65_535 : Math.min(query.udpBytes ?? 512, udpBytesMax)
  return bytes.length <= limit ? bytes : encodeReply(query, { ...reply, addresses: [], truncated: true })
}

/** A table of a map of names in lower case. Parents of these names exist without addresses. */
export function tableOf(
  domain: string,
  ttlSeconds: number,
  addressesByName: ReadonlyMap<string, readonly string[]>,
): DnsTable {
  const between = new Set<string>()
  for (const name of addressesByName.keys()) {
    for (let dot = name.indexOf('.'); dot >= 0; dot = name.indexOf('.', dot + 1)) between.add(name.slice(dot + 1))
  }
  return {
    domain,
    ttlSeconds,
    lookup: (name) => addressesByName.get(name) ?? (between.has(name) ? 'nodata' : undefined),
  }
}
