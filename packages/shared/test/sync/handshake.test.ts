import { expect, test } from 'vitest'
import { createVirtualClock } from '../../src/env/clock.ts'
import { createHandshakes, firstMessage, standingOf } from '../../src/sync/handshake.ts'
import { encodeMessage } from '../../src/sync/log/frames.ts'
import type { Channel, ChannelEnd } from '../../src/transport/transport.ts'

const settle = () => new Promise<void>((resolve) => setImmediate(resolve))

/** A channel whose peer is the test. */
function createPeer() {
  const ended = Promise.withResolvers<ChannelEnd>()
  let listener: ((bytes: Uint8Array) => void) | undefined
  const channel: Channel = {
    send: () => true,
    drained: async () => {},
    onMessage(next) {
      listener = next
    },
    ended: ended.promise,
    end: () => {},
    cut: (reason) => ended.resolve({ refused: false, reason }),
  }
  return { channel, send: (bytes: Uint8Array) => listener?.(bytes), listens: () => listener !== undefined }
}

test('L8 eight sessions of a zone may wait for a welcome, and further ones are refused until one has it', () => {
  const handshakes = createHandshakes()
  const entered = Array.from({ length: 8 }, () => handshakes.enter('west'))
  expect(entered).not.toContain(undefined)
  expect(handshakes.enter('west')).toBeUndefined()
  expect(handshakes.enter('east')).toBeDefined()
  entered[0]?.[Symbol.dispose]()
  expect(handshakes.enter('west')).toBeDefined()
  expect(handshakes.enter('west')).toBeUndefined()
  for (const one of entered.slice(1)) one?.[Symbol.dispose]()
  // One session is left, so there is room for seven.
  expect(Array.from({ length: 8 }, () => handshakes.enter('west')).filter((one) => one !== undefined)).toHaveLength(7)
})

test('Y24 the first frame is read, and later frames wait for the next listener', async () => {
  const { channel, send, listens } = createPeer()
  const first = firstMessage(createVirtualClock(), channel)
  send(encodeMessage({ type: 'credit', bytes: 7 }))
  expect(await first).toEqual({ type: 'credit', bytes: 7 })
  expect(listens()).toBe(false)
})

test('Y24 a first frame of a later protocol, a damaged one, and the end of the channel are named', async () => {
  const later = createPeer()
  const unknown = firstMessage(createVirtualClock(), later.channel)
  later.send(new Uint8Array())
  expect(await unknown).toBe('the first frame is of an unknown kind')
  const damaged = createPeer()
  const unreadable = firstMessage(createVirtualClock(), damaged.channel)
  damaged.send(Uint8Array.of(255))
  expect(await unreadable).toMatch(/^the first frame cannot be read: ./)
  const lost = createPeer()
  const none = firstMessage(createVirtualClock(), lost.channel)
  lost.channel.cut('the line is cut')
  expect(await none).toBe('the line is cut')
})

test('L8 the first frame may take 20 s', async () => {
  const clock = createVirtualClock()
  const slow = createPeer()
  const first = firstMessage(clock, slow.channel)
  clock.advance(19_999)
  slow.send(encodeMessage({ type: 'credit', bytes: 1 }))
  expect(await first).toMatchObject({ type: 'credit' })
  const silent = firstMessage(clock, createPeer().channel)
  clock.advance(20_000)
  await settle()
  expect(await silent).toBe('no first frame within 20000 ms')
})

test('Y1 a peer without a position is new, and any other has the standing of its position', async () => {
  const store = { standing: async () => 'behind' as const }
  expect(await standingOf(store, undefined)).toBe('new')
  expect(await standingOf(store, { store: 's', revision: 1, commitId: 'c' })).toBe('behind')
})
