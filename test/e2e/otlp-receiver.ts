import { once } from 'node:events'
import { createServer } from 'node:http'
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire'
import { local } from './rig.ts'

/** A span as a collector receives it, with the attributes of its resource. */
export interface ReceivedSpan {
  readonly service: unknown
  readonly name: string
  readonly traceId: string
  readonly spanId: string
  /** Empty for the first span of a trace. */
  readonly parentId: string
  readonly links: readonly string[]
  readonly kind: number
  readonly attributes: Readonly<Record<string, unknown>>
  readonly error: string | undefined
}

/** A receiver of OTLP over HTTP, which decodes protobuf by the field numbers of opentelemetry-proto. */
export async function startOtlpReceiver() {
  const spans: ReceivedSpan[] = []
  const faults: string[] = []
  const headers: Record<string, unknown>[] = []
  const server = createServer((request, response) => {
    const parts: Buffer[] = []
    request.on('data', (part: Buffer) => parts.push(part))
    request.on('end', () => {
      if (request.method !== 'POST' || request.url !== '/v1/traces') faults.push(`${request.method} ${request.url}`)
      headers.push(request.headers)
      spans.push(...spansIn(Buffer.concat(parts)))
      response.setHeader('content-type', 'application/x-protobuf')
      response.end()
    })
  })
  server.listen(0, local)
  await once(server, 'listening')
  const bound = server.address()
  const port = bound !== null && typeof bound === 'object' ? bound.port : 0
  return {
    endpoint: `http://${local}:${port}`,
    spans: spans as readonly ReceivedSpan[],
    /** Requests to another path. */
    faults: faults as readonly string[],
    headers: headers as readonly Record<string, unknown>[],
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

type Value = Uint8Array | number | bigint

/** The fields of a message by number, in order. */
function fieldsOf(bytes: Uint8Array): ReadonlyMap<number, readonly Value[]> {
  const reader = new BinaryReader(bytes)
  const fields = new Map<number, Value[]>()
  while (reader.pos < reader.len) {
    const [number, type] = reader.tag()
    const value =
      type === WireType.LengthDelimited
        ? reader.bytes()
        : type === WireType.Bit64
          ? reader.double()
          : type === WireType.Varint
            ? Number(reader.uint64())
            : undefined
    if (value === undefined) reader.skip(type)
    else fields.set(number, [...(fields.get(number) ?? []), value])
  }
  return fields
}

const messagesIn = (fields: ReadonlyMap<number, readonly Value[]>, number: number) =>
  (fields.get(number) ?? []).flatMap((value) => (value instanceof Uint8Array ? [fieldsOf(value)] : []))

const bytesIn = (fields: ReadonlyMap<number, readonly Value[]>, number: number): Buffer => {
  const value = fields.get(number)?.[0]
  return Buffer.from(value instanceof Uint8Array ? value : [])
}

/** The values of AnyValue: a text is field 1, a boolean 2, a whole number 3, another number 4. */
function attributesIn(fields: ReadonlyMap<number, readonly Value[]>, number: number): Record<string, unknown> {
  const entries = messagesIn(fields, number).map((pair) => {
    const [value = new Map<number, readonly Value[]>()] = messagesIn(pair, 2)
    const found = value.has(1)
      ? bytesIn(value, 1).toString()
      : (value.get(3)?.[0] ?? value.get(4)?.[0] ?? value.get(2)?.[0])
    return [bytesIn(pair, 1).toString(), found] as const
  })
  return Object.fromEntries(entries)
}

function spansIn(body: Uint8Array): ReceivedSpan[] {
  return messagesIn(fieldsOf(body), 1).flatMap((resourceSpans) => {
    const [resource = new Map<number, readonly Value[]>()] = messagesIn(resourceSpans, 1)
    const service = attributesIn(resource, 1)['service.name']
    const spans = messagesIn(resourceSpans, 2).flatMap((scopeSpans) => messagesIn(scopeSpans, 2))
    return spans.map((span) => {
      const [status = new Map<number, readonly Value[]>()] = messagesIn(span, 15)
      return {
        service,
        name: bytesIn(span, 5).toString(),
        traceId: bytesIn(span, 1).toString('hex'),
        spanId: bytesIn(span, 2).toString('hex'),
        parentId: bytesIn(span, 4).toString('hex'),
        links: messagesIn(span, 13).map((link) => bytesIn(link, 2).toString('hex')),
        kind: Number(span.get(6)?.[0] ?? 0),
        attributes: attributesIn(span, 9),
        error: status.get(3)?.[0] === 2 ? bytesIn(status, 2).toString() : undefined,
      }
    })
  })
}
