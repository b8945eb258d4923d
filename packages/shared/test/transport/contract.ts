import { connect } from 'node:net'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Caller, Channel, ChannelEnd, Listening } from '../../src/transport/transport.ts'
import { createTestAuthority, type TestAuthority } from '../sync/certificates.ts'
import type { Transport } from './doors.ts'

const mebibyte = 1024 * 1024

/** Collects the messages of a channel. `until` resolves when this many have arrived. */
function collect(channel: Channel) {
  const messages: Uint8Array[] = []
  const waiting: { count: number; resolve: () => void }[] = []
  channel.onMessage((bytes) => {
    // A copy, because the transport may reuse the buffer.
    messages.push(Uint8Array.from(bytes))
    for (const one of waiting) if (messages.length >= one.count) one.resolve()
  })
  return {
    messages,
    until: (count: number) =>
      new Promise<void>((resolve) => {
        if (messages.length >= count) resolve()
        else waiting.push({ count, resolve })
      }),
  }
}

const numbered = (number: number, length = 4): Uint8Array => {
  const bytes = new Uint8Array(length)
  new DataView(bytes.buffer).setUint32(0, number)
  return bytes
}
const numberOf = (bytes: Uint8Array): number => new DataView(bytes.buffer, bytes.byteOffset).getUint32(0)

/** The contract of every transport. */
export function describeTransport(transport: Transport): void {
  let authority: TestAuthority
  let door: Listening
  let callers: Caller[]
  let accepted: PromiseWithResolvers<Channel>
  const opened: (Channel & Disposable)[] = []

  beforeAll(async () => {
    authority = await createTestAuthority()
  })
  beforeEach(async () => {
    callers = []
    accepted = Promise.withResolvers()
    door = await transport.open(authority, (caller, accept, refuse) => {
      callers.push(caller)
      if (caller.token === 'bad') refuse('the token has expired')
      else accepted.resolve(accept())
    })
  })
  afterEach(async () => {
    for (const channel of opened.splice(0)) {
      channel.cut('the test is over')
      channel[Symbol.dispose]()
    }
    await door.close()
  })

  const dial = async (token = 'good') => {
    const dialler = transport.dialer(door.port, token, authority.pinSha256Hex)
    const dialled = await dialler.dial(AbortSignal.timeout(10_000))
    if (dialled.ok) opened.push(dialled.value)
    return dialled
  }

  /** Both ends of an open channel, which has carried a first message. */
  async function pair() {
    const dialled = await dial()
    if (!dialled.ok) throw new Error(dialled.error.reason)
    const near = dialled.value
    near.send(numbered(0))
    const far = await accepted.promise
    return { near, far }
  }

  /** How a refused call ends. Transports differ: one reports the refusal while dialling, the other afterwards. */
  async function endOfCall(token: string): Promise<ChannelEnd> {
    const dialled = await dial(token)
    return dialled.ok ? dialled.value.ended : dialled.error
  }

  describe(`a channel over ${transport.name}`, () => {
    it('TR1 a channel carries messages complete and in order, in both directions', async () => {
      const { near, far } = await pair()
      const [atFar, atNear] = [collect(far), collect(near)]
      for (let number = 1; number <= 500; number += 1) {
        near.send(numbered(number, 4 + ((number * 7_919) % 3_000)))
        far.send(numbered(number, 4 + ((number * 104_729) % 3_000)))
      }
      await Promise.all([atFar.until(501), atNear.until(500)])
      expect(atFar.messages.map(numberOf)).toEqual(Array.from({ length: 501 }, (_, index) => index))
      expect(atNear.messages.map(numberOf)).toEqual(Array.from({ length: 500 }, (_, index) => index + 1))
      expect(atFar.messages.slice(1).map((bytes) => bytes.length)).toEqual(
        Array.from({ length: 500 }, (_, index) => 4 + (((index + 1) * 7_919) % 3_000)),
      )
    })

    it('TR2 a channel carries a message of 10 MiB, and ends at a longer one', async () => {
      const { near, far } = await pair()
      const atFar = collect(far)
      const large = new Uint8Array(10 * mebibyte).map((_, index) => index % 251)
      near.send(large)
      await atFar.until(2)
      expect(Buffer.compare(atFar.messages[1] ?? new Uint8Array(), large)).toBe(0)
      near.send(new Uint8Array(10 * mebibyte + 1))
      expect(await near.ended).toMatchObject({ refused: false })
      expect(atFar.messages.length).toBe(2)
    })

    it('TR3 send returns false while the peer does not read, memory stays small, and sending continues when the peer reads', async () => {
      const { near, far } = await pair()
      const frame = new Uint8Array(256 * 1024)
      let sent = 0
      // The far end has no listener and stops reading, so the buffers of both ends bound the bytes in flight.
      const fill = async (): Promise<void> => {
        for (;;) {
          sent += 1
          if (near.send(frame)) continue
          const drained = near.drained().then(() => true)
          const turns = (async () => {
            for (let turn = 0; turn < 2_000; turn += 1) await new Promise<void>((resolve) => setImmediate(resolve))
            return false
          })()
          if (!(await Promise.race([drained, turns]))) return
        }
      }
      await fill()
      expect(sent * frame.length).toBeLessThan(40 * mebibyte)
      const atFar = collect(far)
      await near.drained()
      await atFar.until(sent + 1)
      near.send(numbered(7))
      await atFar.until(sent + 2)
      expect(numberOf(atFar.messages.at(-1) ?? new Uint8Array(4))).toBe(7)
    })

    it('TR4 a channel ends after everything that the caller sent', async () => {
      const { near, far } = await pair()
      const atFar = collect(far)
      for (let number = 1; number <= 100; number += 1) near.send(numbered(number, 10_000))
      near.end()
      expect(await far.ended).toEqual({ refused: false, reason: 'the peer closed the session' })
      expect(atFar.messages.length).toBe(101)
    })

    it('TR4 a channel ends after everything that the called side sent', async () => {
      const { near, far } = await pair()
      const atNear = collect(near)
      for (let number = 1; number <= 100; number += 1) far.send(numbered(number, 10_000))
      far.end()
      expect((await near.ended).refused).toBe(false)
      expect(atNear.messages.length).toBe(100)
    })

    it('TR5 a cut ends the channel at once, on this side with the given reason, and the peer is notified', async () => {
      const { near, far } = await pair()
      collect(far)
      near.cut('a test cuts it')
      expect(await near.ended).toEqual({ refused: false, reason: 'a test cuts it' })
      expect((await far.ended).refused).toBe(false)
      expect(near.send(numbered(1))).toBe(true)
      await near.drained()
    })

    it('TR5 the called side can cut a channel too', async () => {
      const { near, far } = await pair()
      far.cut('a test cuts it')
      expect(await far.ended).toEqual({ refused: false, reason: 'a test cuts it' })
      expect((await near.ended).refused).toBe(false)
    })

    it('TR6 early messages wait for a later reader, also between two readers', async () => {
      const { near, far } = await pair()
      near.send(numbered(1))
      near.send(numbered(2))
      const first = await new Promise<Uint8Array>((resolve) => {
        far.onMessage((bytes) => {
          far.onMessage(undefined)
          resolve(bytes)
        })
      })
      expect(numberOf(first)).toBe(0)
      const atFar = collect(far)
      await atFar.until(2)
      expect(atFar.messages.map(numberOf)).toEqual([1, 2])
    })

    it('E10 a refused caller receives the reason', async () => {
      expect(await endOfCall('bad')).toEqual({ refused: true, reason: 'the token has expired' })
    })

    it('TR7 the server receives the address and the token of a caller', async () => {
      await pair()
      expect(callers).toEqual([{ address: expect.stringMatching(/^127\.0\.0\.1:\d+$/), token: 'good' }])
    })

    it('F28 300 callers from one address, each with one more connection, are all admitted at once', async () => {
      const count = 300
      const waiting: (() => Channel)[] = []
      const first = Promise.withResolvers<string>()
      await using stack = new AsyncDisposableStack()
      const met = Promise.withResolvers<void>()
      let isMet = false
      const crowded = await transport.open(authority, (_caller, accept) => {
        if (!isMet) {
          isMet = true
          accept()
          return met.resolve()
        }
        waiting.push(accept)
        if (waiting.length === count) first.resolve('all wait for an answer')
      })
      stack.defer(() => crowded.close())
      const connections = Array.from({ length: count }, () => connect(crowded.port, '127.0.0.1'))
      stack.defer(() => {
        for (const connection of connections) connection.destroy()
      })
      await Promise.all(connections.map((one) => new Promise<void>((resolve) => one.once('connect', resolve))))
      const dialler = transport.dialer(crowded.port, 'good', authority.pinSha256Hex)
      const oneDials = async () => {
        const dialled = await dialler.dial(AbortSignal.timeout(20_000))
        if (!dialled.ok) return first.resolve(dialled.error.reason)
        const channel = stack.use(dialled.value)
        channel.send(numbered(0))
        void channel.ended.then(({ reason }) => first.resolve(reason))
      }
      // The first dial reads the authority, which would otherwise be one more connection per caller.
      await oneDials()
      await met.promise
      const dialling = Array.from({ length: count }, oneDials)
      expect(await first.promise).toBe('all wait for an answer')
      for (const accept of waiting) stack.adopt(accept(), (channel) => channel.cut('the test is over'))
      await Promise.all(dialling)
    })

    it('Y34 a caller refuses a server with another authority, and sends it no token', async () => {
      const dialled = await transport.dialer(door.port, 'good', '00'.repeat(32)).dial(AbortSignal.timeout(10_000))
      expect(dialled).toMatchObject({ ok: false, error: { refused: true } })
      expect(callers).toEqual([])
    })

    it('TR8 an address without a listener is distinguished from a refusal', async () => {
      const dialled = await transport.dialer(1, 'good', authority.pinSha256Hex).dial(AbortSignal.timeout(10_000))
      expect(dialled).toMatchObject({ ok: false, error: { refused: false } })
    })

    it('TR9 both ends are notified when the server closes', async () => {
      const { near, far } = await pair()
      collect(far)
      await door.close()
      expect((await near.ended).refused).toBe(false)
      expect((await far.ended).refused).toBe(false)
    })
  })
}
