import { Duplex } from 'node:stream'
import { Metadata, type ServerDuplexStream } from '@grpc/grpc-js'

/** A call of gRPC without a network: what the peer sends, what it receives, and the status with which the call ends. */
export function createCall(token = 'token') {
  const written: Buffer[] = []
  const statuses: { readonly code: number; readonly details: string }[] = []
  const stream = new Duplex({
    objectMode: true,
    read: () => undefined,
    write(bytes: Buffer, _encoding, done) {
      written.push(bytes)
      done()
    },
  })
  stream.on('error', (status: { code: number; details: string }) => statuses.push(status))
  const metadata = new Metadata()
  metadata.set('authorization', token)
  const headers: Metadata[] = []
  const more = { metadata, getPeer: () => 'peer', sendMetadata: (sent: Metadata) => void headers.push(sent) }
  return {
    // A handler uses only the stream and these members.
    call: Object.assign(stream, more) as unknown as ServerDuplexStream<Buffer, Buffer>,
    written,
    statuses,
    headers,
    send: (bytes: Uint8Array) => void stream.push(Buffer.from(bytes)),
    /** Whether the handler has ended its side. */
    isEnded: () => stream.writableEnded,
    /** The peer ends its side. */
    end: () => void stream.push(null),
  }
}

/** Lets everything run that does not wait for a timer or a message. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await new Promise(setImmediate)
}
