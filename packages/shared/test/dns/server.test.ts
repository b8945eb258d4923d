import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { expect, test } from 'vitest'
import { tableOf } from '../../src/dns/answer.ts'
import { encodeQuestion, parseAnswer } from '../../src/dns/codec.ts'
import { frame, readFrames } from '../../src/dns/framing.ts'
import { startDnsServer } from '../../src/dns/server.ts'
import { systemClock } from '../../src/env/clock.ts'
import { silentLog } from '../../src/env/log.ts'
import { systemRandom } from '../../src/env/random.ts'

const question = frame(encodeQuestion(7, 'web.mesh') ?? new Uint8Array())

/** Asks over an open connection. Undefined if the server closes it instead. */
function ask(socket: Socket): Promise<readonly string[] | undefined> {
  return new Promise((resolve) => {
    if (socket.destroyed) return resolve(undefined)
    socket.once(
      'data',
      readFrames((bytes) => resolve(parseAnswer(bytes)?.addresses)),
    )
    socket.once('close', () => resolve(undefined))
    socket.once('error', () => resolve(undefined))
    socket.write(question)
  })
}

test('L8 one address has up to 100 DNS connections, and a new one replaces the one that has been silent longest for 500 ms', async () => {
  let nowMs = 0
  const clock = { ...systemClock, monotonicMs: () => nowMs }
  const table = tableOf('mesh', 30, new Map([['web.mesh', ['240.0.0.1']]]))
  await using server = await startDnsServer(
    { clock, log: silentLog, random: systemRandom },
    { host: '127.0.0.1', port: 0, table: () => table, allowForward: () => false },
  )
  const sockets: Socket[] = []
  const open = async () => {
    const socket = connect(server.port, server.host)
    sockets.push(socket)
    await once(socket, 'connect')
    return { socket, answered: await ask(socket) }
  }
  const [first, second] = [await open(), await open()]
  for (let count = 2; count < 100; count += 1) expect((await open()).answered).toEqual(['240.0.0.1'])
  // The first connection speaks again, so the second one has been silent longest.
  expect(await ask(first.socket)).toEqual(['240.0.0.1'])
  nowMs = 499
  expect((await open()).answered).toBeUndefined()
  nowMs = 500
  expect((await open()).answered).toEqual(['240.0.0.1'])
  expect(await ask(second.socket)).toBeUndefined()
  expect(await ask(first.socket)).toEqual(['240.0.0.1'])
  for (const socket of sockets) socket.destroy()
})
