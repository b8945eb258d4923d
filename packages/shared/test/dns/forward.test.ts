import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { networkInterfaces } from 'node:os'
import { expect, test } from 'vitest'
import { createForwarder, type DnsAddress, parseDnsAddress, refusesItself } from '../../src/dns/forward.ts'
import { createVirtualClock, systemClock } from '../../src/env/clock.ts'
import { systemRandom } from '../../src/env/random.ts'

const question = Uint8Array.from([0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0x61, 0, 0, 1, 0, 1])

/** An upstream that counts its questions, and answers them or not. */
async function startUpstream(answers: boolean) {
  const socket = createSocket('udp4')
  await new Promise<void>((done) => socket.bind(0, '127.0.0.1', done))
  const questions: Buffer[] = []
  socket.on('message', (bytes, { port }) => {
    questions.push(bytes)
    if (!answers) return
    const copy = Uint8Array.from(bytes)
    copy[2] = 0x80
    socket.send(copy, port)
  })
  const address: DnsAddress = { host: '127.0.0.1', port: socket.address().port }
  /** Resolves when so many questions have arrived. */
  const received = async (count: number) => {
    while (questions.length < count) await once(socket, 'message')
  }
  return { address, questions, received, [Symbol.dispose]: () => void socket.close() }
}

test('D6 three upstreams are asked in turn, and a fourth one is not', async () => {
  using silent = await startUpstream(false)
  using good = await startUpstream(true)
  const clock = createVirtualClock()
  const ask = async (upstreams: readonly DnsAddress[], silences: number) => {
    const before = silent.questions.length
    const answer = createForwarder({ clock, random: systemRandom }, upstreams).ask(question, 'udp')
    for (let count = 1; count <= silences; count += 1) {
      await silent.received(before + count)
      clock.advance(2_000)
    }
    return answer
  }
  const answer = await ask([silent.address, silent.address, good.address], 2)
  expect(answer?.subarray(0, 2)).toEqual(question.subarray(0, 2))
  expect([silent.questions.length, good.questions.length]).toEqual([2, 1])
  expect(await ask([silent.address, silent.address, silent.address, good.address], 3)).toBeUndefined()
  expect([silent.questions.length, good.questions.length]).toEqual([5, 1])
})

test('D1 only the letters of the name change their case, and the answer has the question of the client', async () => {
  using upstream = await startUpstream(true)
  const random = { ...systemRandom, bytes: (count: number) => new Uint8Array(count).fill(0xff) }
  const forwarder = createForwarder({ clock: systemClock, random }, [upstream.address])
  // The characters beside the letters, and a type whose bytes are codes of letters.
  const asked = (label: string) =>
    Uint8Array.from([0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, label.length, ...Buffer.from(label), 0, 0x61, 0x7a, 0, 1])
  const answer = await forwarder.ask(asked('@AZ[`az{9-'), 'udp')
  expect(upstream.questions.map((bytes) => bytes.subarray(12).toString('latin1'))).toEqual([
    Buffer.from(asked('@az[`AZ{9-').subarray(12)).toString('latin1'),
  ])
  expect(upstream.questions[0]?.subarray(0, 2)).toEqual(Buffer.from([0xff, 0xff]))
  expect([answer?.subarray(0, 2), answer?.subarray(12)]).toEqual([
    asked('').subarray(0, 2),
    asked('@AZ[`az{9-').subarray(12),
  ])
})

test('D6 a forwarder that is closed ends its questions and asks no more', async () => {
  using silent = await startUpstream(false)
  const upstreams = [silent.address, silent.address]
  const forwarder = createForwarder({ clock: systemClock, random: systemRandom }, upstreams)
  const pending = forwarder.ask(question, 'udp')
  await silent.received(1)
  forwarder.close()
  expect(await pending).toBeUndefined()
  expect(await forwarder.ask(question, 'udp')).toBeUndefined()
  expect(silent.questions).toHaveLength(1)
})

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))
const pendingMark = Symbol('pending')
/** The result of a promise, or `pendingMark` if it has none yet. */
const now = <T>(promise: Promise<T>) => Promise.race([promise, turn().then(() => pendingMark)])

test.each(['udp', 'tcp'] as const)('D6 an upstream has 2 s for its answer over %s', async (transport) => {
  using silent = await startUpstream(false)
  const listener = createServer((peer) => void peer.resume())
  await new Promise<void>((done) => listener.listen(silent.address.port, '127.0.0.1', done))
  const clock = createVirtualClock()
  const forwarder = createForwarder({ clock, random: systemRandom }, [silent.address])
  const answer = forwarder.ask(question, transport)
  clock.advance(1_999)
  expect(await now(answer)).toBe(pendingMark)
  clock.advance(1)
  expect(await answer).toBeUndefined()
  await new Promise((done) => listener.close(done))
})

test('D6 an upstream that refuses the question, or closes its connection, is skipped at once', async () => {
  using good = await startUpstream(true)
  const unused = await startUpstream(true)
  unused[Symbol.dispose]()
  const hasty = createServer((peer) => void peer.destroy())
  await new Promise<void>((done) => hasty.listen(0, '127.0.0.1', done))
  const { port } = hasty.address() as AddressInfo // it listens on a port
  // This clock never moves, so no question times out.
  const deps = { clock: createVirtualClock(), random: systemRandom }
  const answer = await createForwarder(deps, [unused.address, good.address]).ask(question, 'udp')
  expect(answer?.subarray(12)).toEqual(question.subarray(12))
  const overTcp = createForwarder(deps, [unused.address, { host: '127.0.0.1', port }])
  expect(await overTcp.ask(question, 'tcp')).toBeUndefined()
  await new Promise((done) => hasty.close(done))
})

test('D6 a forwarder that is closed at once, or with a question over TCP, ends its questions', async () => {
  using silent = await startUpstream(false)
  for (const transport of ['udp', 'tcp'] as const) {
    const forwarder = createForwarder({ clock: createVirtualClock(), random: systemRandom }, [silent.address])
    const answer = forwarder.ask(question, transport)
    forwarder.close()
    expect(await answer).toBeUndefined()
  }
  await turn()
  expect(silent.questions).toEqual([])
})

test('L8 a forwarder has up to 1,000 pending questions, and further ones fail at once', async () => {
  using silent = await startUpstream(false)
  const clock = createVirtualClock()
  const forwarder = createForwarder({ clock, random: systemRandom }, [silent.address])
  for (let round = 0; round < 2; round += 1) {
    const pending = Array.from({ length: 1_000 }, () => forwarder.ask(question, 'udp'))
    const further = forwarder.ask(question, 'udp')
    expect(await now(pending[999] ?? further)).toBe(pendingMark)
    expect(await now(further)).toBeUndefined()
    clock.advance(2_000)
    await Promise.all(pending)
  }
  forwarder.close()
})

test.each([
  ['10.0.0.1', '10.0.0.1', 53, true],
  ['10.0.0.1', '10.0.0.2', 53, false],
  ['127.0.0.1', '10.0.0.2', 53, false],
  ['127.0.0.1', '0.0.0.0', 53, true],
  ['127.7.7.7', '0.0.0.0', 53, true],
  ['0.0.0.0', '0.0.0.0', 53, true],
  ['192.0.2.1', '0.0.0.0', 53, false],
  ['127.0.0.1', '0.0.0.0', 54, false],
  ['10.0.0.1', '10.0.0.1', 54, false],
])('D11 whether the upstream %s:53 is the server on %s:%i itself: %s', (upstream, host, port, isItself) =>
  expect(refusesItself({ host: upstream, port: 53 }, host, port)).toBe(isItself),
)

test('D11 an upstream with any address of this host is the server that listens on all addresses', () => {
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? [])
  for (const { address } of addresses) expect(refusesItself({ host: address, port: 53 }, '0.0.0.0', 53)).toBe(true)
})

test.each([
  ['10.0.0.1:1', 1],
  ['10.0.0.1:65535', 65_535],
  ['10.0.0.1:65536', undefined],
  ['10.0.0.1:0', undefined],
  [' 10.0.0.1 ', 53],
  ['10.0.0', undefined],
  ['10.0.0.256', undefined],
  ['10.0.0.1:', undefined],
])('D11 the port of the upstream "%s" is %s', (text, port) => expect(parseDnsAddress(text)?.port).toBe(port))
