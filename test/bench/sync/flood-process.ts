// A zone that sends rows of 4 KB as fast as it gets credit, for ever: 30,000 keys, and then the same anew. Started by `flood.ts`.
import { syncPath } from '@zonemesh/shared/sync/handshake.ts'
import { decodeMessage, encodeMessage } from '@zonemesh/shared/sync/log/frames.ts'
import { type Delivered, type Message, noCounters } from '@zonemesh/shared/sync/log/messages.ts'
import { ownProtocol } from '@zonemesh/shared/sync/log/protocol.ts'
import { callGrpc } from '@zonemesh/shared/transport/grpc.ts'

const keys = 30_000
const rowsPerFrame = 64
const textBytes = 4_000

const [address = '', zone = '', token = '', authorityPem = ''] = process.argv.slice(2)
const channel = callGrpc({ address, path: syncPath, token, authorityPem })
const storeId = `store-of-${zone}`
let credit = 0
let frames = 0
let sentRows = 0
let revision = 1

function send(message: Message): void {
  frames += 1
  channel.send(encodeMessage(message, frames))
}

function row(index: number): Delivered {
  const key = { origin: zone, kind: 'Dataplane', mesh: 'default', name: `flood-${index % keys}` }
  const stamp = { incarnation: 1, originRevision: revision, createdAtMs: 1, modifiedAtMs: 1 }
  const inbound = [{ port: 80, tags: { 'kuma.io/service': 'flood', text: `${index}`.padEnd(textBytes, 'x') } }]
  const spec = { networking: { address: '10.0.0.1', inbound } }
  return { key, stamp, state: 'live', row: { key, stamp, labels: {}, spec } }
}

/** One frame of rows and its mark, as long as there is credit; each in a turn of its own. */
function flood(): void {
  if (credit <= 0) return
  const rows = Array.from({ length: rowsPerFrame }, (_unused, index) => row(sentRows + index))
  sentRows += rowsPerFrame
  credit -= rowsPerFrame * (textBytes + 200)
  send({ type: 'rows', rows, bytes: 0 })
  send({ type: 'mark', position: { store: storeId, revision, commitId: `c${revision}` } })
  revision += 1
  setImmediate(flood)
}

channel.onMessage((bytes) => {
  const message = decodeMessage(bytes)
  if (message?.type === 'welcome') {
    credit = message.welcome.creditBytes
    process.send?.('welcome')
    send({ type: 'replace', origins: [zone], position: { store: storeId, revision, commitId: 'c1' }, reason: 'new' })
    flood()
  } else if (message?.type === 'credit') {
    const isWaiting = credit <= 0
    credit += message.bytes
    if (isWaiting) flood()
  } else if (message?.type === 'goodbye') {
    process.stderr.write(`the flooding zone lost its session: ${message.goodbye.reason}\n`)
    process.exit(1)
  }
})
const numbers = { incarnation: 1, startedAtMs: Date.now(), creditBytes: 2 ** 40 }
const names = { host: `${zone}-host`, version: 'bench', replica: `${zone}-${process.pid}` }
channel.send(
  encodeMessage({
    type: 'hello',
    hello: { protocol: ownProtocol, storeId, position: undefined, uncovered: [], ...numbers, ...names },
  }),
)
const silent = { holds: [], blocked: '', verdicts: [], silentProxies: [], wallClockMs: 0, counters: noCounters }
setInterval(
  () => send({ type: 'bookmark', bookmark: { sent: 0, mark: revision, stored: 0, served: 0, ...silent } }),
  2_000,
)
process.on('disconnect', () => process.exit())
