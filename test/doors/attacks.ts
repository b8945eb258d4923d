import { connect as connectHttp2, type OutgoingHttpHeaders } from 'node:http2'
import { connect, type Socket } from 'node:net'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import type { Random } from '@zonemesh/shared/env/random.ts'
import { local } from '../e2e/rig.ts'

/** Attacks on a port of this machine. Each attack resolves when it has ended, with any outcome. */
export interface Target {
  readonly port: number
  /**
   * The source address: a loopback address other than that of the regular clients, unless it is set to the same one.
   */
  readonly from?: string
}

const stranger = '127.0.0.2'
export const upTo = (random: Random, max: number): number => Math.floor(random.fraction() * max)
const oneOf = <T>(random: Random, choices: readonly T[], otherwise: T): T =>
  choices[upTo(random, choices.length)] ?? otherwise

export function open({ port, from = stranger }: Target): Socket {
  const socket = connect({ port, host: local, localAddress: from })
  return socket.on('error', () => socket.destroy())
}

export function openTls({ port, from = stranger }: Target, protocols: readonly string[]): TLSSocket {
  const raw = open({ port, from })
  // Attackers verify no certificate.
  const socket = connectTls({ socket: raw, ALPNProtocols: [...protocols], rejectUnauthorized: false })
  raw.on('close', () => socket.destroy())
  return socket.on('error', () => socket.destroy())
}

export const closed = (socket: Socket): Promise<void> =>
  new Promise((resolve) => (socket.destroyed ? resolve() : void socket.once('close', () => resolve())))

/** Sends on many connections at once, closes its side, and waits until each is closed by either end. */
async function each(count: number, send: (index: number) => Socket): Promise<void> {
  await Promise.all(
    Array.from({ length: count }, (_, index) => {
      const socket = send(index)
      socket.resume()
      return closed(socket)
    }),
  )
}

/** Random bytes, some of them after the beginning of a real message. */
export const garbage = (target: Target, random: Random, count = 150): Promise<void> =>
  each(count, () => {
    const socket = open(target)
    const beginnings = ['', 'GET / HTTP/1.1\r\n', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', '\x16\x03\x01\x02\x00\x01']
    socket.end(Buffer.concat([Buffer.from(oneOf(random, beginnings, ''), 'latin1'), random.bytes(upTo(random, 4_096))]))
    return socket
  })

/** A ClientHello that stops in the middle. The caller closes the connections. */
export function stalledHandshakes(target: Target, random: Random, count = 150): readonly Socket[] {
  return Array.from({ length: count }, () => {
    const socket = open(target)
    socket.write(Buffer.concat([Buffer.from('1603010200010001fc0303', 'hex'), random.bytes(upTo(random, 200))]))
    return socket
  })
}

/** Connections that send nothing. The caller closes them. */
export const idle = (target: Target, count: number): readonly Socket[] =>
  Array.from({ length: count }, () => open(target))

/**
 * The source address of connections that only a timeout should close. Surplus connections of the other addresses are
 * closed by address.
 */
export const patient = '127.0.0.3'

export const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')

function frame(type: number, flags: number, stream: number, payload: Uint8Array): Buffer {
  const head = Buffer.alloc(9)
  head.writeUIntBE(payload.length, 0, 3)
  head.writeUInt8(type, 3)
  head.writeUInt8(flags, 4)
  head.writeUInt32BE(stream & 0x7fffffff, 5)
  return Buffer.concat([head, payload])
}

export const settings = frame(4, 0, 0, new Uint8Array())

/** Frames of every type with random flags, streams and payloads, after a valid beginning. */
export const randomFrames = (target: Target, random: Random, count = 60): Promise<void> =>
  each(count, () => {
    const socket = openTls(target, ['h2'])
    const frames = Array.from({ length: 1 + upTo(random, 30) }, () =>
      frame(upTo(random, 12), upTo(random, 256), upTo(random, 9), random.bytes(upTo(random, 300))),
    )
    socket.end(Buffer.concat([preface, settings, ...frames]))
    return socket
  })

/** Sends this number of frames of one type as fast as possible, without reading. */
export function floods(target: Target, count = 20_000): Promise<void> {
  const ping = frame(6, 0, 0, new Uint8Array(8))
  // HPACK: POST, https, and path /, all from the static table.
  const headers = (stream: number) => frame(1, 4, stream, Uint8Array.of(0x83, 0x87, 0x84))
  const reset = (stream: number) => frame(3, 0, stream, Uint8Array.of(0, 0, 0, 8))
  const many = (make: (index: number) => Buffer) =>
    Buffer.concat(Array.from({ length: count }, (_, index) => make(index)))
  const kinds = [
    many(() => ping),
    many(() => settings),
    many((index) => Buffer.concat([headers(2 * index + 1), reset(2 * index + 1)])),
    Buffer.concat([frame(1, 0, 1, Uint8Array.of(0x83)), many(() => frame(9, 0, 1, new Uint8Array(16)))]),
    many(() => frame(0, 0, 1, new Uint8Array())),
    many(() => frame(8, 0, 0, Uint8Array.of(0x7f, 255, 255, 255))),
  ]
  return each(kinds.length, (index) => {
    const socket = openTls(target, ['h2'])
    socket.end(Buffer.concat([preface, settings, kinds[index] ?? settings]))
    return socket
  })
}

/** Requests whose headers never end. The caller checks whether the server closes them. */
export function slowHeaders(socket: Socket): Socket {
  socket.write('POST /bootstrap HTTP/1.1\r\nHost: x\r\n')
  const timer = setInterval(() => socket.write('X-Slow: 1\r\n'), 200)
  socket.on('close', () => clearInterval(timer))
  return socket.resume()
}

export interface GrpcAnswer {
  /** The status that the server sent; undefined if the stream ended without one. */
  readonly status: string | undefined
  readonly message: string | undefined
}

/** One gRPC call without a client library, which would correct the planted mistakes. */
export function rawGrpc(
  target: Target,
  path: string,
  body: Uint8Array,
  headers: OutgoingHttpHeaders = {},
): Promise<GrpcAnswer> {
  return new Promise((resolve) => {
    let status: string | undefined
    let message: string | undefined
    const session = connectHttp2(`https://${local}:${target.port}`, {
      createConnection: () => openTls(target, ['h2']),
    })
    const finish = () => {
      session.destroy()
      resolve({ status, message })
    }
    session.on('error', finish).on('close', finish)
    const stream = session.request(
      { ':method': 'POST', ':path': path, 'content-type': 'application/grpc', te: 'trailers', ...headers },
      { endStream: false },
    )
    // The status is in the first or the last headers. The server does not read anything sent after it.
    const read = (fields: Readonly<Record<string, unknown>>) => {
      if (typeof fields['grpc-status'] === 'string') status = fields['grpc-status']
      if (typeof fields['grpc-message'] === 'string') message = decodeURIComponent(fields['grpc-message'])
      if (status !== undefined) finish()
    }
    stream.on('response', read).on('trailers', read).on('error', finish).on('close', finish)
    stream.resume()
    stream.write(body)
    stream.end()
  })
}

/** A message with the five bytes that gRPC puts before it. */
export function grpcMessage(bytes: Uint8Array, compressed = false, length = bytes.length): Buffer {
  const head = Buffer.alloc(5)
  head.writeUInt8(compressed ? 1 : 0, 0)
  head.writeUInt32BE(length, 1)
  return Buffer.concat([head, bytes])
}

/** Changes, truncates, duplicates or inserts some bytes. */
export function mutate(random: Random, valid: Uint8Array): Uint8Array {
  const bytes = [...valid]
  for (let change = 0; change <= upTo(random, 4); change += 1) {
    const at = upTo(random, bytes.length + 1)
    const kind = upTo(random, 5)
    if (kind === 0) bytes[Math.min(at, bytes.length - 1)] = upTo(random, 256)
    else if (kind === 1) bytes.splice(at, 1 + upTo(random, 8))
    else if (kind === 2) bytes.splice(at, 0, ...random.bytes(1 + upTo(random, 8)))
    else if (kind === 3) bytes.splice(at, 0, ...bytes.slice(0, upTo(random, 30)))
    else bytes.splice(at, bytes.length, ...random.bytes(upTo(random, 4)))
    if (bytes.length === 0) bytes.push(0)
  }
  return Uint8Array.from(bytes)
}
