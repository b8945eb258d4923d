import { EventEmitter } from 'node:events'
import { Duplex } from 'node:stream'
import { expect, test } from 'vitest'
import { frame, readFrames } from '../../src/dns/framing.ts'
import { type Connection, createConnections, type Respond, serveDatagrams } from '../../src/dns/serve.ts'
import { createVirtualClock } from '../../src/env/clock.ts'
import { silentLog } from '../../src/env/log.ts'

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))
const question = (index = 0) => Uint8Array.from([index, 1])
const echo: Respond = async (bytes) => bytes

/** A TCP socket without a network. The client does not read while `isReading` is false. */
function createSocket(remoteAddress: string | undefined, isReading = true) {
  const answers: Uint8Array[] = []
  const unread: (() => void)[] = []
  const read = readFrames((bytes) => answers.push(Uint8Array.from(bytes)))
  const stream = new Duplex({
    read: () => undefined,
    write(chunk: Uint8Array, _encoding, done) {
      read(chunk)
      if (isReading) done()
      else unread.push(done)
    },
  })
  const idle: { readonly ms: number; readonly end: (() => void) | undefined }[] = []
  const socket: Connection = Object.assign(stream, {
    remoteAddress,
    setTimeout(ms: number, end?: () => void) {
      idle.push({ ms, end })
      // No caller uses the result, which is the socket itself.
      return this as never
    },
  })
  return {
    socket,
    answers,
    idle,
    ask: (...questions: readonly Uint8Array[]) => void stream.push(Buffer.concat(questions.map(frame))),
    /** The client reads the oldest unread answer. */
    readOne: () => unread.shift()?.(),
  }
}

/** Connections whose questions are answered one by one, when the test says so. */
function scene() {
  const clock = createVirtualClock()
  const asked: { readonly from: string; readonly answer: (reply: Uint8Array | undefined) => void }[] = []
  const connections = createConnections(
    clock,
    (_bytes, from) => new Promise((answer) => void asked.push({ from, answer })),
  )
  return { clock, asked, connections }
}

/** Opens connections from an address. */
function openMany(connections: ReturnType<typeof createConnections>, count: number, address: string | undefined) {
  return Array.from({ length: count }, () => {
    const opened = createSocket(address)
    connections.accept(opened.socket)
    return opened
  })
}
const openCount = (opened: readonly { readonly socket: Connection }[]) =>
  opened.filter(({ socket }) => !socket.destroyed).length

test('L8 one address has up to 100 DNS connections, and all addresses have up to 200', () => {
  const { connections } = createScene()
  const [a, b] = ['10.0.0.1', '10.0.0.2'].map((address) => openMany(connections, 101, address))
  const c = openMany(connections, 1, '10.0.0.3')
  expect([a, b, c].map((list) => openCount(list ?? []))).toEqual([100, 100, 0])
})

test('L8 for a new DNS connection the one that has been silent longest is closed, after 500 ms: of the same address if this address has 100', async () => {
  const { connections, clock } = createScene()
  const [oldest] = openMany(connections, 1, '10.0.0.1')
  clock.advance(1)
  const crowd = openMany(connections, 100, '10.0.0.2')
  const others = openMany(connections, 99, '10.0.0.3')
  // The first connection of the crowd speaks again, so its second one has been silent longest.
  crowd[0]?.ask(question())
  await turn()
  clock.advance(499)
  expect(openCount(openMany(connections, 1, '10.0.0.2'))).toBe(0)
  clock.advance(1)
  expect(openCount(openMany(connections, 1, '10.0.0.2'))).toBe(1)
  expect([oldest, crowd[0], crowd[1], crowd[2]].map((one) => one?.socket.destroyed)).toEqual([
    false,
    false,
    true,
    false,
  ])
  expect(openCount(openMany(connections, 1, '10.0.0.4'))).toBe(1)
  expect(oldest?.socket.destroyed).toBe(true)
  expect(openCount([...crowd, ...others])).toBe(198)
})

test('L8 a DNS connection that closes makes room for another one', async () => {
  const { connections } = createScene()
  const [first] = openMany(connections, 100, '10.0.0.1')
  first?.socket.destroy()
  await turn()
  expect(openCount(openMany(connections, 2, '10.0.0.1'))).toBe(1)
})

test('L8 a refused or replaced DNS connection does not count again when it speaks', async () => {
  const { connections, clock } = createScene()
  const [first] = openMany(connections, 100, '10.0.0.1')
  clock.advance(500)
  first?.ask(question())
  // The question is read after the connection was replaced.
  expect(openCount(openMany(connections, 1, '10.0.0.1'))).toBe(1)
  await turn()
  clock.advance(500)
  expect(openCount(openMany(connections, 100, '10.0.0.1'))).toBe(100)
})

test('D6 the client of an IPv4 address that is mapped to IPv6 has the IPv4 address', async () => {
  const { connections, asked } = scene()
  for (const address of ['::ffff:10.0.0.1', '::1', undefined]) {
    const opened = createSocket(address)
    connections.accept(opened.socket)
    opened.ask(question())
    await turn()
  }
  expect(asked.map(({ from }) => from)).toEqual(['10.0.0.1', '::1', ''])
})

test('L8 at most 64 questions of one DNS connection are pending, and it is read again when one has its answer', async () => {
  const { connections, asked } = scene()
  const { socket, ask, answers } = createSocket('10.0.0.1')
  connections.accept(socket)
  ask(...Array.from({ length: 63 }, () => question()))
  await turn()
  expect(socket.isPaused()).toBe(false)
  ask(question())
  await turn()
  expect([socket.isPaused(), asked.length]).toEqual([true, 64])
  ask(question(1))
  await turn()
  expect(asked.length).toBe(64)
  asked[0]?.answer(question(7))
  await turn()
  // The next question is read at once and takes the place of the answered one.
  expect([socket.isPaused(), asked.length, answers]).toEqual([true, 65, [question(7)]])
  for (const one of asked.slice(1)) one.answer(question(8))
  await turn()
  expect([socket.isPaused(), answers.length]).toEqual([false, 65])
})

test('L8 a DNS connection is not read while more than 64 KiB of answers are unread', async () => {
  const { connections, asked } = scene()
  const { socket, ask, readOne } = createSocket('10.0.0.1', false)
  connections.accept(socket)
  ask(question(), question(), question())
  await turn()
  // With its two bytes of length, the first answer fills the limit exactly.
  asked[0]?.answer(new Uint8Array(65_534))
  await turn()
  expect([socket.writableLength, socket.isPaused()]).toEqual([65_536, false])
  const beyond = scene()
  const other = createSocket('10.0.0.1', false)
  beyond.connections.accept(other.socket)
  other.ask(question())
  await turn()
  beyond.asked[0]?.answer(new Uint8Array(65_535))
  await turn()
  expect([other.socket.writableLength, other.socket.isPaused()]).toEqual([65_537, true])
  asked[1]?.answer(new Uint8Array(1))
  await turn()
  expect(socket.isPaused()).toBe(true)
  ask(question())
  await turn()
  expect(asked.length).toBe(3)
  readOne()
  await turn()
  readOne()
  await turn()
  expect([socket.isPaused(), asked.length]).toEqual([false, 4])
})

test('D10 a DNS connection is closed after 10 s without data, after an error, and for a question without an answer', async () => {
  const { connections, asked } = scene()
  const opened = Array.from({ length: 3 }, () => createSocket('10.0.0.1'))
  for (const { socket } of opened) connections.accept(socket)
  expect(opened[0]?.idle.map(({ ms }) => ms)).toEqual([10_000])
  opened[0]?.idle[0]?.end?.()
  opened[1]?.socket.emit('error', new Error('ECONNRESET'))
  opened[2]?.ask(question())
  await turn()
  expect(opened[2]?.socket.destroyed).toBe(false)
  asked[0]?.answer(undefined)
  await turn()
  expect(opened.map(({ socket }) => socket.destroyed)).toEqual([true, true, true])
})

test('D10 a client that has closed its side gets the answers written before, and no further ones', async () => {
  const { connections, asked } = scene()
  const { socket, ask, answers } = createSocket('10.0.0.1')
  connections.accept(socket)
  ask(question(), question())
  await turn()
  asked[0]?.answer(question(1))
  await turn()
  socket.end()
  asked[1]?.answer(question(2))
  await turn()
  expect(answers).toEqual([question(1)])
})

test('D12 a server that stops closes all connections', () => {
  const { connections } = createScene()
  const opened = [...openMany(connections, 2, '10.0.0.1'), ...openMany(connections, 1, '10.0.0.2')]
  connections.closeAll()
  expect(openCount(opened)).toBe(0)
})

/** Connections whose questions are answered at once. */
function createScene() {
  const clock = createVirtualClock()
  return { clock, connections: createConnections(clock, echo) }
}

/** A UDP socket without a network. */
function createDatagrams(respond: Respond = echo) {
  const socket = new EventEmitter()
  const sent: unknown[] = []
  let unsentBytes = 0
  const logged: unknown[] = []
  const udp = Object.assign(socket, {
    send: (...given: readonly unknown[]) => void sent.push(given),
    getSendQueueSize: () => unsentBytes,
  })
  const log = { ...silentLog, warn: (fields: unknown) => void logged.push(fields) }
  // `serveDatagrams` uses only these members.
  const stop = serveDatagrams(udp as unknown as Parameters<typeof serveDatagrams>[0], respond, log)
  return {
    ...{ sent, logged, stop, socket },
    setUnsentBytes: (bytes: number) => {
      unsentBytes = bytes
    },
    async receive(port: number): Promise<void> {
      socket.emit('message', question(), { address: '10.0.0.1', port })
      await turn()
    },
  }
}

test('D12 a datagram is answered to its sender, unless it has no answer or a forged port 0, or the server has stopped', async () => {
  const { sent, receive, stop } = createDatagrams()
  await receive(0)
  expect(sent).toEqual([])
  await receive(1)
  await receive(53)
  expect(sent).toEqual([1, 53].map((port) => [question(), port, '10.0.0.1']))
  stop[Symbol.dispose]()
  await receive(53)
  expect(sent.length).toBe(2)
  const silent = createDatagrams(async () => undefined)
  await silent.receive(53)
  expect(silent.sent).toEqual([])
})

test('L8 an answer is dropped while more than 4 MiB of answers are unsent', async () => {
  const { sent, receive, setUnsentBytes } = createDatagrams()
  setUnsentBytes(4 * 1024 * 1024 + 1)
  await receive(53)
  expect(sent).toEqual([])
  setUnsentBytes(4 * 1024 * 1024)
  await receive(53)
  expect(sent.length).toBe(1)
})

test('D12 an error of the UDP socket is logged and ends nothing', async () => {
  const { socket, logged, receive, sent } = createDatagrams()
  socket.emit('error', new Error('EPERM'))
  expect(logged).toEqual([{ error: 'EPERM' }])
  await receive(53)
  expect(sent.length).toBe(1)
})
