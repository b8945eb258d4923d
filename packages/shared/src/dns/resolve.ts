import { createSocket } from 'node:dgram'
import { connect } from 'node:net'
import { delay, systemClock } from '../env/clock.ts'
import { systemRandom } from '../env/random.ts'
import { type AddressAnswer, encodeQuestion, parseAnswer } from './codec.ts'
import type { DnsAddress } from './forward.ts'
import { frame, readFrames } from './framing.ts'

const waitMs = 2_000

/**
 * Asks one server for the A records of a name over UDP, and over TCP if the answer is truncated. Throws without an
 * answer.
 */
export async function resolve(name: string, server: DnsAddress, signal: AbortSignal): Promise<AddressAnswer> {
  const bytes = systemRandom.bytes(2)
  const id = ((bytes[0] ?? 0) << 8) | (bytes[1] ?? 0)
  const question = encodeQuestion(id, name)
  if (!question) throw new Error(`${JSON.stringify(name)} is not a name that DNS can carry`)
  const answered = await exchange(askUdp, question, id, server, signal)
  return answered.truncated ? exchange(askTcp, question, id, server, signal) : answered
}

type Ask = (
  question: Uint8Array,
  server: DnsAddress,
  take: (bytes: Uint8Array) => void,
  fail: (error: Error) => void,
) => () => void

async function exchange(
  ask: Ask,
  question: Uint8Array,
  id: number,
  server: DnsAddress,
  signal: AbortSignal,
): Promise<AddressAnswer> {
  const { promise, resolve: settle, reject } = Promise.withResolvers<AddressAnswer>()
  const close = ask(
    question,
    server,
    (bytes) => {
      const answer = parseAnswer(bytes)
      if (answer?.id === id) settle(answer)
    },
    reject,
  )
  const settled = new AbortController()
  const limit = delay(systemClock, waitMs, AbortSignal.any([signal, settled.signal])).then(() => {
    throw new Error(`no answer from ${server.host}:${server.port} within ${waitMs / 1000} s`)
  })
  try {
    return await Promise.race([promise, limit])
  } finally {
    settled.abort()
    limit.catch(() => {}) // the timer lost the race
    close()
  }
}

const askUdp: Ask = (question, server, take, fail) => {
  const socket = createSocket('udp4')
  socket.on('message', take).on('error', fail)
  socket.send(question, server.port, server.host)
  return () => socket.close()
}

const askTcp: Ask = (question, server, take, fail) => {
  const socket = connect(server.port, server.host, () => void socket.write(frame(question)))
  socket.on('data', readFrames(take)).on('error', fail)
  return () => socket.destroy()
}
