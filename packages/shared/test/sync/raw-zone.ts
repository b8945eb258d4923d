import { createLatest } from '../../src/streams/latest.ts'
import { syncPath } from '../../src/sync/handshake.ts'
import { decodeMessage, encodeMessage } from '../../src/sync/log/frames.ts'
import type { Hello, Message } from '../../src/sync/log/messages.ts'

import { callGrpc } from '../../src/transport/grpc.ts'
import { pinnedAuthority } from '../../src/transport/pin.ts'
import type { TestAuthority } from './certificates.ts'

/** A zone that sends a hello, and after it only the messages of the test. */
export async function callAsZone(authority: TestAuthority, port: number, zone: string, hello: Partial<Hello> = {}) {
  const address = `127.0.0.1:${port}`
  const pinned = await pinnedAuthority(address, authority.pinSha256Hex, AbortSignal.timeout(5_000))
  if (!pinned.ok) throw new Error(pinned.error.reason)
  const channel = callGrpc({ address, path: syncPath, token: `token-of-${zone}`, authorityPem: pinned.value })
  const received = createLatest<readonly Message[]>([])
  channel.onMessage((bytes) => {
    const message = decodeMessage(bytes)
    if (message) received.set([...received.value, message])
  })
  const send = (message: Message) => channel.send(encodeMessage(message))
  send({
    type: 'hello',
    hello: {
      protocol: { min: 1, max: 1, features: [] },
      storeId: `store-of-${zone}`,
      incarnation: 1,
      host: `${zone}-host`,
      startedAtMs: 0,
      version: 'test',
      position: undefined,
      creditBytes: 1_000_000,
      replica: `replica-of-${zone}`,
      uncovered: [],
      ...hello,
    },
  })
  return {
    send,
    sendBytes: (bytes: Uint8Array) => channel.send(bytes),
    messages: () => received.value,
    /** The message of a type with this index; waits until it has arrived. */
    async next<Type extends Message['type']>(type: Type, after = 0): Promise<Extract<Message, { type: Type }>> {
      for await (const messages of received.watch(AbortSignal.timeout(5_000))) {
        const found = messages.filter((message): message is Extract<Message, { type: Type }> => message.type === type)[
          after
        ]
        if (found) return found
      }
      throw new Error(`no ${type} within 5 s`)
    },
    [Symbol.dispose]() {
      channel.cut('the test is over')
      channel[Symbol.dispose]()
    },
  }
}
