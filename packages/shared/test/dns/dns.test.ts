import { createSocket } from 'node:dgram'
import { type AddressInfo, connect, createServer } from 'node:net'
import fc from 'fast-check'
import { afterEach, expect, test } from 'vitest'
import { answer, type DnsTable, tableOf } from '../../src/dns/answer.ts'
import { encodeQuestion, encodeReply, parseAnswer, parseQuery, type Query, readName } from '../../src/dns/codec.ts'
import { createForwarder, nameserversOf, parseDnsAddress } from '../../src/dns/forward.ts'
import { frame, readFrames } from '../../src/dns/framing.ts'
import { resolve } from '../../src/dns/resolve.ts'
import { type DnsObserver, type DnsServer, type DnsServerConfig, startDnsServer } from '../../src/dns/server.ts'
import { createVirtualClock, systemClock } from '../../src/env/clock.ts'
import { silentLog } from '../../src/env/log.ts'
import { systemRandom } from '../../src/env/random.ts'

const table = tableOf(
  'mesh',
  30,
  new Map([
    ['web.mesh', ['240.0.0.1']],
    ['a.b.mesh', ['240.0.0.2', '240.0.0.3']],
    ['api.shop.test', ['240.0.0.9']],
    ['many.mesh', Array.from({ length: 60 }, (_, index) => `240.0.1.${index}`)],
  ]),
)
const udp = { clientAddress: '127.0.0.1', transport: 'udp', recursionAvailable: false } as const

interface Options {
  readonly qtype?: number
  readonly edns?: number
  readonly version?: number
  readonly opcode?: number
  readonly questions?: number
}

function query(name: string, options: Options = {}): Uint8Array {
  const { qtype = 1, edns, version = 0, opcode = 0, questions = 1 } = options
  const labels = name.split('.').flatMap((label) => [label.length, ...Buffer.from(label)])
  const opt = edns === undefined ? [] : [0, 0, 41, edns >> 8, edns & 255, 0, version, 0, 0, 0, 0]
  const header = [0x12, 0x34, 0x01 | (opcode << 3), 0, 0, questions, 0, 0, 0, 0, 0, edns === undefined ? 0 : 1]
  return Uint8Array.from([...header, ...labels, 0, 0, qtype, 0, 1, ...opt])
}

function ask(bytes: Uint8Array, context: Parameters<typeof answer>[2] = udp) {
  const answered = answer(bytes, table, context)
  if (answered.type !== 'answer') return { type: answered.type, bytes: undefined, addresses: undefined }
  const view = new DataView(answered.bytes.buffer, answered.bytes.byteOffset)
  const parsed = parseAnswer(answered.bytes)
  return {
    ...parsed,
    type: answered.type,
    bytes: answered.bytes,
    authorities: view.getUint16(8),
    additional: view.getUint16(10),
  }
}

test('D4 a known name is answered with its addresses, authoritatively and with the TTL', () => {
  expect(ask(query('web.mesh'))).toMatchObject({
    id: 0x1234,
    rcode: 0,
    authoritative: true,
    addresses: ['240.0.0.1'],
    ttlSeconds: 30,
    authorities: 0,
  })
  expect(ask(query('a.b.mesh'))).toMatchObject({ addresses: ['240.0.0.2', '240.0.0.3'] })
})

test('GW24 a name outside the domain that leads to a gateway has its addresses, and other questions about it and names around it are forwarded', () => {
  const found = ask(query('API.shop.test'))
  expect(found).toMatchObject({ rcode: 0, authoritative: true, addresses: ['240.0.0.9'] })
  expect(ask(query('api.shop.test', { qtype: 28 }))).toMatchObject({ rcode: 0, addresses: [], authorities: 0 })
  for (const [name, qtype] of [
    ['api.shop.test', 16],
    ['shop.test', 1],
    ['www.shop.test', 1],
    ['x.api.shop.test', 1],
  ] as const)
    expect(ask(query(name, { qtype })).type, name).toBe('forward')
})

test('D4 letter case does not matter, and the question is repeated in the spelling of the request', () => {
  const answered = ask(query('WeB.MesH'))
  expect(answered).toMatchObject({ rcode: 0, addresses: ['240.0.0.1'] })
  expect(Buffer.from(answered.bytes ?? []).includes('WeB')).toBe(true)
})

test('D5 an unknown name gets NXDOMAIN with SOA, and other types and intermediate names get NODATA with SOA', () => {
  expect(ask(query('nope.mesh'))).toMatchObject({ rcode: 3, authoritative: true, addresses: [], authorities: 1 })
  expect(ask(query('web.mesh', { qtype: 28 }))).toMatchObject({ rcode: 0, addresses: [], authorities: 1 })
  expect(ask(query('b.mesh'))).toMatchObject({ rcode: 0, addresses: [], authorities: 1 })
  expect(ask(query('mesh'))).toMatchObject({ rcode: 0, addresses: [], authorities: 1 })
})

test('D2 the SOA of the domain is an answer if it was requested, and an authority record otherwise', () => {
  const soaAt = (name: string, qtype: number) => {
    const { bytes } = ask(query(name, { qtype }))
    const view = Buffer.from(bytes ?? [])
    return { answers: view.readUInt16BE(6), authorities: view.readUInt16BE(8) }
  }
  for (const qtype of [6, 255]) expect(soaAt('MESH', qtype)).toEqual({ answers: 1, authorities: 0 })
  expect(soaAt('mesh', 1)).toEqual({ answers: 0, authorities: 1 })
  expect(soaAt('web.mesh', 6)).toEqual({ answers: 0, authorities: 1 })
})

test('D6 names outside the domain are forwarded, also names that only end with the same letters', () => {
  expect(ask(query('example.com')).type).toBe('forward')
  expect(ask(query('webmesh')).type).toBe('forward')
})

test('D7 other opcodes get NOTIMP, and messages that are truncated or have no or several questions get FORMERR', () => {
  expect(ask(query('web.mesh', { opcode: 2 }))).toMatchObject({ id: 0x1234, rcode: 4 })
  expect(ask(query('web.mesh', { questions: 2 }))).toMatchObject({ rcode: 1 })
  expect(ask(query('web.mesh', { questions: 0 }))).toMatchObject({ rcode: 1 })
  expect(ask(query('web.mesh').subarray(0, 16))).toMatchObject({ rcode: 1 })
})

test('D8 an OPT is answered with an OPT, an unknown EDNS version gets BADVERS, and the size of the request counts', () => {
  expect(ask(query('web.mesh'))).toMatchObject({ additional: 0 })
  expect(ask(query('web.mesh', { edns: 1232 }))).toMatchObject({ additional: 1 })
  const refused = ask(query('web.mesh', { edns: 1232, version: 1 }))
  expect(refused).toMatchObject({ rcode: 0, addresses: [] })
  expect(refused.bytes?.at(-6)).toBe(1) // the upper bits of code 16
  expect(ask(query('many.mesh'))).toMatchObject({ truncated: true, addresses: [] })
  expect(ask(query('many.mesh', { edns: 1232 }))).toMatchObject({ truncated: false })
  expect(ask(query('many.mesh'), { ...udp, transport: 'tcp' }).addresses).toHaveLength(60)
})

test('D9 no input makes the codec throw, and each answer fits its transport', () => {
  const headers = fc.constantFrom(
    query('web.mesh'),
    query('a.b.mesh', { edns: 600 }),
    query('x.y.z.mesh', { qtype: 255 }),
  )
  const mutated = fc
    .tuple(headers, fc.array(fc.tuple(fc.nat(60), fc.nat(255)), { maxLength: 6 }), fc.nat(60))
    .map(([base, changes, cut]) => {
      const bytes = Uint8Array.from(base)
      for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value
      return bytes.subarray(0, bytes.length - Math.min(cut, 20))
    })
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 600 }), mutated), (bytes) => {
      const answered = answer(bytes, table, udp)
      if (answered.type === 'answer') expect(answered.bytes.length).toBeLessThanOrEqual(1232)
      parseAnswer(bytes)
      for (let offset = 0; offset < 20; offset++) readName(bytes, offset)
    }),
    { numRuns: 5_000 },
  )
})

test('D9 an encoded message is decoded unchanged', () => {
  const label = fc.stringMatching(/^[a-zA-Z0-9-]{1,20}$/)
  fc.assert(
    fc.property(
      fc.array(label, { minLength: 1, maxLength: 5 }),
      fc.array(fc.ipV4(), { maxLength: 8 }),
      (labels, addresses) => {
        const question = encodeQuestion(7, labels.join('.'))
        const parsed = parseQuery(question ?? new Uint8Array())
        expect(parsed).toMatchObject({ type: 'query', query: { id: 7, name: labels.join('.'), udpBytes: 1232 } })
        const asked: Query | undefined = parsed.type === 'query' ? parsed.query : undefined
        if (!asked) return
        const reply = { rcode: 0, authoritative: true, recursionAvailable: false, addresses, ttlSeconds: 5 } as const
        expect(parseAnswer(encodeReply(asked, reply))).toMatchObject({ id: 7, addresses })
      },
    ),
  )
})

test('D9 compressed names are followed, and loops are not', () => {
  const bytes = Uint8Array.from([3, 0x77, 0x65, 0x62, 0, 1, 0x61, 0xc0, 0, 0xc0, 9])
  expect(readName(bytes, 5)?.labels.map((one) => Buffer.from(one).toString())).toEqual(['a', 'web'])
  expect(readName(bytes, 5)?.next).toBe(9)
  expect(readName(bytes, 9)).toBeUndefined()
})

test('D10 TCP frames are complete, regardless of how the bytes are split', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 40 })), fc.integer({ min: 1, max: 9 }), (messages, step) => {
      const stream = Buffer.concat(messages.map(frame))
      const out: Uint8Array[] = []
      const read = readFrames((message) => void out.push(Uint8Array.from(message)))
      for (let offset = 0; offset < stream.length; offset += step) read(stream.subarray(offset, offset + step))
      expect(out).toEqual(messages)
    }),
  )
})

test('D10 a TCP frame begins with the length of its message in two bytes', () => {
  expect([...frame(new Uint8Array(600)).subarray(0, 2)]).toEqual([0x02, 0x58])
})

test('D11 the addresses of upstream servers are parsed', () => {
  expect(parseDnsAddress('10.0.0.1')).toEqual({ host: '10.0.0.1', port: 53 })
  expect(parseDnsAddress('10.0.0.1:5353')).toEqual({ host: '10.0.0.1', port: 5353 })
  for (const bad of ['', 'host', '10.0.0.1:0', '10.0.0.1:99999', '300.0.0.1'])
    expect(parseDnsAddress(bad)).toBeUndefined()
  expect(nameserversOf('# x\nnameserver 10.0.0.1\nnameserver ::1\nsearch a\n nameserver 10.0.0.2 \n')).toEqual([
    { host: '10.0.0.1', port: 53 },
    { host: '10.0.0.2', port: 53 },
  ])
})

const servers: DnsServer[] = []
afterEach(async () => {
  for (const server of servers.splice(0)) await server[Symbol.asyncDispose]()
})
const deps = { clock: systemClock, log: silentLog, random: systemRandom }

async function start(change: Partial<DnsServerConfig> & { served?: DnsTable } = {}): Promise<DnsServer> {
  const { served = table, ...rest } = change
  const server = await startDnsServer(deps, {
    host: '127.0.0.1',
    port: 0,
    table: () => served,
    allowForward: () => true,
    ...rest,
  })
  servers.push(server)
  return server
}

const signal = new AbortController().signal

test('D12 the server answers over UDP, and over TCP after a truncated answer', async () => {
  const server = await start()
  expect((await resolve('Web.mesh', server, signal)).addresses).toEqual(['240.0.0.1'])
  expect((await resolve('many.mesh', server, signal)).addresses).toHaveLength(60)
  expect((await resolve('nope.mesh', server, signal)).rcode).toBe(3)
})

test('D10 several questions on one TCP connection are all answered', async () => {
  const server = await start()
  const answers: (readonly string[])[] = []
  const { promise, resolve: done } = Promise.withResolvers<void>()
  const socket = connect(server.port, server.host)
  socket.on(
    'data',
    readFrames((bytes) => {
      answers.push(parseAnswer(bytes)?.addresses ?? [])
      if (answers.length === 3) done()
    }),
  )
  socket.write(Buffer.concat(['web.mesh', 'a.b.mesh', 'web.mesh'].map((name) => frame(query(name)))))
  await promise
  socket.destroy()
  expect(answers).toHaveLength(3)
})

test('D6 a forwarded question has another id, and its answer returns with the id of the client', async () => {
  const upstream = await start({ served: tableOf('com', 60, new Map([['example.com', ['192.0.2.1']]])) })
  const server = await start({ forward: { servers: [upstream] } })
  expect((await resolve('example.com', server, signal)).addresses).toEqual(['192.0.2.1'])
})

interface Upstream {
  /** The question as the server repeats it. */
  readonly spell?: (question: Uint8Array) => Uint8Array
  /** The question of an answer that the server sends before the correct one. */
  readonly before?: (question: Uint8Array) => Uint8Array
}

/** A name server that repeats each question as an answer. */
async function startUpstream({ spell = (question) => question, before }: Upstream = {}) {
  const seen: { readonly port: number; readonly id: number; readonly name: string }[] = []
  const answered = (bytes: Uint8Array): Uint8Array => {
    const copy = Uint8Array.from(bytes)
    copy[2] = 0x80
    return copy
  }
  const socket = createSocket('udp4')
  socket.on('message', (bytes, { port }) => {
    seen.push({ port, id: bytes.readUInt16BE(0), name: bytes.subarray(13, -5).toString('latin1') })
    if (before) socket.send(answered(before(bytes)), port)
    socket.send(answered(spell(bytes)), port)
  })
  const overTcp: Uint8Array[] = []
  const tcp = createServer((peer) => {
    peer.on('error', () => {})
    peer.on(
      'data',
      readFrames((bytes) => {
        overTcp.push(bytes)
        peer.write(frame(answered(before ? before(bytes) : bytes)))
      }),
    )
  })
  // TCP first: other tests use many TCP ports and hardly any UDP ports.
  await new Promise<void>((done) => tcp.listen(0, '127.0.0.1', done))
  const bound = tcp.address()
  if (bound === null || typeof bound === 'string') throw new Error('the name server has no port')
  const { port } = bound
  await new Promise<void>((done) => socket.bind(port, '127.0.0.1', done))
  const forwarder = createForwarder({ clock: systemClock, random: systemRandom }, [{ host: '127.0.0.1', port }])
  return {
    seen,
    overTcp,
    forwarder,
    [Symbol.dispose]() {
      forwarder.close()
      socket.close()
      tcp.close()
    },
  }
}

test('D1 each forwarded question has a random port, id and spelling, and its answer has the id and spelling of the client', async () => {
  using upstream = await startUpstream()
  const asked = query('abcdefghijklmnop')
  for (let count = 0; count < 40; count += 1) {
    const answer = await upstream.forwarder.ask(asked, 'udp')
    expect([answer?.subarray(0, 2), answer?.subarray(12)]).toEqual([asked.subarray(0, 2), asked.subarray(12)])
  }
  const different = (of: (one: (typeof upstream.seen)[number]) => unknown) => new Set(upstream.seen.map(of)).size
  expect(different(({ port }) => port)).toBeGreaterThan(30)
  expect(different(({ id }) => id)).toBeGreaterThan(30)
  expect(different(({ name }) => name)).toBeGreaterThan(30)
  expect(different(({ name }) => name.toLowerCase())).toBe(1)
})

test('D1 an answer in another spelling is not accepted, and the question is repeated over TCP', async () => {
  using upstream = await startUpstream({
    spell: (bytes) => bytes.map((byte, at) => (at >= 12 && byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte)),
  })
  const asked = query('abcdefghijklmnop')
  const answer = await upstream.forwarder.ask(asked, 'udp')
  expect(answer?.subarray(12)).toEqual(asked.subarray(12))
  expect(upstream.overTcp).toHaveLength(1)
})

test.each([
  ['another name', (bytes: Uint8Array) => bytes.map((byte, at) => (at === 13 ? byte ^ 1 : byte))],
  ['another type', (bytes: Uint8Array) => bytes.map((byte, at) => (at === bytes.length - 3 ? 28 : byte))],
  ['another id', (bytes: Uint8Array) => bytes.map((byte, at) => (at === 0 ? byte ^ 1 : byte))],
])(
  'D3 an answer to %s is not relayed: over UDP the server waits for the right answer, over TCP there is none',
  async (_what, before) => {
    using upstream = await startUpstream({ before })
    const asked = query('abcdefghijklmnop')
    const answer = await upstream.forwarder.ask(asked, 'udp')
    expect(answer?.subarray(12)).toEqual(asked.subarray(12))
    expect(upstream.overTcp).toHaveLength(0)
    expect(await upstream.forwarder.ask(asked, 'tcp')).toBeUndefined()
  },
)

test('D6 forwarding is refused to clients without permission, and without an upstream', async () => {
  const upstream = await start()
  const closed = await start({ forward: { servers: [upstream] }, allowForward: () => false })
  expect((await resolve('example.com', closed, signal)).rcode).toBe(5)
  expect((await resolve('example.com', await start(), signal)).rcode).toBe(5)
})

test('D6 a silent upstream is answered with SERVFAIL, and the next upstream is used', async () => {
  const silent = createSocket('udp4')
  await new Promise<void>((done) => silent.bind(0, '127.0.0.1', done))
  const dead = { host: '127.0.0.1', port: silent.address().port }
  const clock = createVirtualClock()
  silent.on('message', () => clock.advance(2_000))
  const good = await start({ served: tableOf('com', 60, new Map([['example.com', ['192.0.2.1']]])) })
  const options = { host: '127.0.0.1', port: 0, table: () => table, allowForward: () => true }
  const both = await startDnsServer({ ...deps, clock }, { ...options, forward: { servers: [dead, good] } })
  const none = await startDnsServer({ ...deps, clock }, { ...options, forward: { servers: [dead] } })
  servers.push(both, none)
  expect((await resolve('example.com', both, signal)).addresses).toEqual(['192.0.2.1'])
  expect((await resolve('example.com', none, signal)).rcode).toBe(2)
  await new Promise<void>((done) => silent.close(done))
})

test('D6 a server that stops ends its forwarded questions and sends no answer', async () => {
  const silent = createSocket('udp4')
  await new Promise<void>((done) => silent.bind(0, '127.0.0.1', done))
  const upstream = { host: '127.0.0.1', port: silent.address().port }
  const asked = new Promise((done) => silent.once('message', done))
  const server = await startDnsServer(
    { ...deps, clock: createVirtualClock() },
    { host: '127.0.0.1', port: 0, table: () => table, allowForward: () => true, forward: { servers: [upstream] } },
  )
  const client = createSocket('udp4')
  const answers: unknown[] = []
  client.on('message', (bytes) => answers.push(bytes))
  client.send(query('example.com'), server.port, server.host)
  await asked
  await server[Symbol.asyncDispose]()
  expect(answers).toEqual([])
  for (const socket of [client, silent]) await new Promise<void>((done) => socket.close(done))
})

test('D6 a question whose answer throws is dropped, and the server answers the next one', async () => {
  let fails = true
  const server = await startDnsServer(deps, {
    host: '127.0.0.1',
    port: 0,
    table() {
      if (fails) throw new Error('no table')
      return table
    },
    allowForward: () => true,
  })
  servers.push(server)
  const socket = connect(server.port, server.host)
  socket.write(frame(query('web.mesh')))
  await new Promise((done) => socket.on('close', done))
  fails = false
  expect((await resolve('web.mesh', server, signal)).addresses).toEqual(['240.0.0.1'])
})

test('D12 an answer states whether the server forwards questions', async () => {
  const flagsOf = async (server: DnsServer): Promise<number | undefined> => {
    const socket = connect(server.port, server.host)
    const answer = new Promise<Uint8Array>((done) => socket.on('data', readFrames(done)))
    socket.write(frame(query('web.mesh')))
    const [, , , flags = 0] = await answer
    socket.destroy()
    return flags & 0x80
  }
  const upstream = await start()
  expect(await flagsOf(upstream)).toBe(0)
  expect(await flagsOf(await start({ forward: { servers: [upstream] } }))).toBe(0x80)
})

test('D11 a port that is in use only for TCP is refused, and its UDP port is free again', async () => {
  const taken = createServer()
  await new Promise<void>((done) => taken.listen(0, '127.0.0.1', done))
  const { port } = taken.address() as AddressInfo // it listens on a port
  await expect(start({ port })).rejects.toThrow('EADDRINUSE')
  await new Promise((done) => taken.close(done))
  expect((await start({ port })).port).toBe(port)
})

test('D11 an upstream that is the server itself, and an address in use, are refused at the start', async () => {
  const server = await start()
  await expect(start({ port: server.port })).rejects.toThrow('EADDRINUSE')
  await server[Symbol.asyncDispose]()
  servers.splice(0)
  const itself = { host: '127.0.0.1', port: server.port }
  await expect(start({ port: server.port, forward: { servers: [itself] } })).rejects.toThrow('is this server itself')
  await start({ port: server.port })
})

test('MT13 each answer is reported, own ones with the time of their question if it is sampled, forwarded ones always', async () => {
  const upstream = await start({ served: tableOf('com', 60, new Map([['example.com', ['192.0.2.1']]])) })
  const seen: string[] = []
  let questions = 0
  const rcodeOf = (reply: Uint8Array): number => (reply[3] ?? 0) & 15
  const observer: DnsObserver = {
    sampledMs: () => (questions++ % 2 === 0 ? 7 : undefined),
    answered: (reply, sinceMs) => void seen.push(`answered ${rcodeOf(reply)} since ${sinceMs}`),
    forwarded: (reply) => void seen.push(`forwarded ${rcodeOf(reply)}`),
  }
  const server = await startDnsServer(
    { ...deps, observer },
    { host: '127.0.0.1', port: 0, table: () => table, forward: { servers: [upstream] }, allowForward: () => true },
  )
  servers.push(server)
  for (const name of ['web.mesh', 'nope.mesh', 'example.com']) await resolve(name, server, signal)
  expect(seen).toEqual(['answered 0 since 7', 'answered 3 since undefined', 'forwarded 0'])
})
