import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { systemClock } from '@zonemesh/shared/env/clock.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { noFaults, type Relay, startRelay } from '../src/chaos/relay.ts'

// The relay of `zonemesh chaos` between real sockets of this process.
let relay: Relay
let client: Socket
let server: Socket
let stop: () => void
const host = '127.0.0.1'

beforeEach(async () => {
  const listener = createServer({ allowHalfOpen: true }).listen(0, host)
  await once(listener, 'listening')
  const address = listener.address()
  const targetPort = address !== null && typeof address === 'object' ? address.port : 0
  const deps = { clock: systemClock, random: systemRandom }
  relay = await startRelay(deps, { host, port: 0, targetHost: host, targetPort })
  const accepted = once(listener, 'connection')
  client = connect(relay.port, host)
  const [socket]: Socket[] = await accepted
  if (!socket) throw new Error('nobody connected')
  server = socket
  for (const one of [client, server]) one.on('error', () => undefined)
  stop = () => {
    client.destroy()
    server.destroy()
    listener.close()
  }
})
afterEach(async () => {
  stop()
  await relay[Symbol.asyncDispose]()
})

/** Reads until this many bytes have arrived. */
async function read(socket: Socket, bytes: number): Promise<string> {
  let text = ''
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
    text += String(chunk)
    if (text.length >= bytes) return text
  }
  return text
}

/** One exchange in the other direction: afterwards the relay has processed all earlier bytes. */
async function barrier(): Promise<void> {
  server.write('!')
  expect(await read(client, 1)).toBe('!')
}

test('B30 a relay passes bytes, counts them and closes in order', async () => {
  client.write('hello')
  expect(await read(server, 5)).toBe('hello')
  client.end('bye')
  expect(await read(server, 99)).toBe('bye')
  expect(relay.counters().bytes.up).toEqual({ passed: 8, waiting: 0, lost: 0, retransmitted: 0 })
})

test('B30 a black hole in one direction holds bytes and the close without notice, and delivers both afterwards', async () => {
  relay.set({ ...noFaults, blackHole: ['up'] })
  client.end('late')
  await barrier()
  expect(relay.counters().bytes.up).toEqual({ passed: 0, waiting: 4, lost: 0, retransmitted: 0 })
  expect(server.readableEnded).toBe(false)
  relay.set(noFaults)
  expect(await read(server, 99)).toBe('late')
})

test('B30 in a half-open connection the peer sees no close, and its bytes are lost until the fault ends', async () => {
  relay.set({ ...noFaults, halfOpen: true })
  server.resetAndDestroy()
  await expect.poll(() => relay.counters().halfOpen).toBe(1)
  expect(client.destroyed).toBe(false)
  client.write('nobody')
  await expect.poll(() => relay.counters().bytes.up.lost).toBe(6)
  const closed = new Promise((resolve) => client.once('close', resolve))
  relay.set(noFaults)
  await closed
})

test('B30 a delay holds each byte back, a rate limit spreads bytes, and neither changes their order', async () => {
  relay.set({ ...noFaults, delayMs: 40, jitterMs: 40, bytesPerSecond: 5_000 })
  const startMs = systemClock.monotonicMs()
  const sent = Array.from({ length: 100 }, (_, index) => String(index).padStart(10, '.'))
  for (const part of sent) client.write(part)
  expect(await read(server, 1_000)).toBe(sent.join(''))
  // No pause follows the last slice of the 1,000 bytes.
  expect(systemClock.monotonicMs() - startMs).toBeGreaterThan(180)
})

test('B95 a lost packet is sent again after a time-out that doubles, and no byte is lost or overtakes another', async () => {
  relay.set({ ...noFaults, lossPercent: 60 })
  const startMs = systemClock.monotonicMs()
  const sent = Array.from({ length: 12 }, (_, index) => String(index).padStart(10, '.'))
  for (const part of sent) {
    client.write(part)
    await expect.poll(() => relay.counters().bytes.up).toMatchObject({ lost: 0 })
  }
  expect(await read(server, 120)).toBe(sent.join(''))
  const { passed, lost, retransmitted } = relay.counters().bytes.up
  expect([passed, lost, retransmitted > 0]).toEqual([120, 0, true])
  expect(systemClock.monotonicMs() - startMs).toBeGreaterThanOrEqual(200)
})
