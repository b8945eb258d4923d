import { systemClock } from '@zonemesh/shared/env/clock.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import type { Position } from '@zonemesh/shared/store/store.ts'
import { syncPath } from '@zonemesh/shared/sync/handshake.ts'
import { decodeMessage, encodeMessage } from '@zonemesh/shared/sync/log/frames.ts'
import { type Delivered, type Message, noCounters } from '@zonemesh/shared/sync/log/messages.ts'
import { ownProtocol } from '@zonemesh/shared/sync/log/protocol.ts'
import { dialGrpc } from '@zonemesh/shared/transport/grpc.ts'
import type { Channel } from '@zonemesh/shared/transport/transport.ts'
import type { Put } from '../../scale/rows.ts'
import { type BenchGlobal, local } from '../sync/global.ts'

const bookmarkMs = 4
const beatMs = 2_000
const idleMarkMs = 40
const rowsPerFrame = 100
const windowBytes = 4 * 1024 * 1024

/** A zone that answers each frame as a real zone does, but stores nothing, so that hundreds fit into one process. */
export interface LightZone extends Disposable {
  readonly name: string
  /** What has arrived and what was sent: bytes of messages, without HTTP/2 and TLS. */
  readonly received: { bytes: number; frames: number }
  readonly sent: { bytes: number; frames: number }
  /** Sends rows of this zone, and the mark of their commit. */
  write(rows: readonly Put[]): void
  /** Resolves when the mark of this revision of the global has arrived. */
  untilStored(revision: number): Promise<void>
  /** Resolves when the global has stored everything that this zone has written. */
  untilStoredByGlobal(): Promise<void>
}

export async function startLightZone(
  global: Pick<BenchGlobal, 'pin' | 'syncPort'>,
  { name, token }: { readonly name: string; readonly token: string },
): Promise<LightZone> {
  const address = `${local}:${global.syncPort}`
  const dialled = await dialGrpc({ address, path: syncPath, token, pinSha256Hex: global.pin }).dial(
    AbortSignal.timeout(60_000),
  )
  if (!dialled.ok) throw new Error(dialled.error.reason)
  const zone = followGlobal(name, dialled.value)
  await zone.welcomed
  return zone
}

/** Sends the hello and answers the global until disposed. */
function followGlobal(name: string, channel: Channel & Disposable): LightZone & { readonly welcomed: Promise<void> } {
  const welcomed = Promise.withResolvers<void>()
  const received = { bytes: 0, frames: 0 }
  const sent = { bytes: 0, frames: 0 }
  const waiting = new Set<() => void>()
  const storeId = systemRandom.uuid()
  let number = 0
  let revision = 0
  let stored = 0
  let storedByGlobal = 0
  let owed = 0
  let hasRows = false
  let bookmarkTimer: Disposable | undefined
  let markTimer: Disposable | undefined
  let allowed = 0
  const pending: Message[] = []

  function send(message: Message): void {
    number += message.type === 'hello' ? 0 : 1
    const bytes = encodeMessage(message, number)
    sent.bytes += bytes.length
    sent.frames += 1
    channel.send(bytes)
  }

  const position = (): Position => ({ store: storeId, revision, commitId: `${revision}`.padStart(16, '0') })

  function sendBookmark(): void {
    bookmarkTimer = systemClock.after(beatMs, sendBookmark)
    if (owed > 0) send({ type: 'credit', bytes: owed })
    owed = 0
    const own = { sent: revision, mark: revision, stored, served: stored }
    const plain = { holds: [], blocked: '', verdicts: [], silentProxies: [], counters: noCounters }
    const times = { wallClockMs: Math.floor(systemClock.wallMs()), sentAtMs: Math.floor(systemClock.monotonicMs()) }
    send({ type: 'bookmark', bookmark: { ...own, ...plain, ...times } })
  }

  function soon(): void {
    bookmarkTimer?.[Symbol.dispose]()
    bookmarkTimer = systemClock.after(bookmarkMs, sendBookmark)
  }

  /** Credit of the global: rows wait until it has granted more. */
  function sendPending(): void {
    for (let next = pending[0]; next && allowed > 0; next = pending[0]) {
      pending.shift()
      if (next.type === 'rows') allowed -= next.bytes
      send(next)
    }
  }

  /** A commit of rows makes a new mark of the zone. */
  function markSoon(): void {
    revision += 1
    markTimer ??= systemClock.after(idleMarkMs, () => {
      markTimer = undefined
      send({ type: 'mark', position: position() })
    })
  }

  function receiveRows(bytes: Uint8Array): void {
    hasRows = true
    owed += bytes.length
  }

  function receive(message: Message): void {
    if (message.type === 'welcome') {
      allowed = message.welcome.creditBytes
      send({ type: 'replace', origins: [name], position: position(), reason: 'new' })
      send({ type: 'mark', position: position() })
      sendBookmark()
      welcomed.resolve()
    } else if (message.type === 'mark') {
      stored = message.position.revision
      if (hasRows) markSoon()
      hasRows = false
      soon()
    } else if (message.type === 'credit') {
      allowed += message.bytes
      sendPending()
    } else if (message.type === 'bookmark') storedByGlobal = message.bookmark.stored
    for (const wake of waiting) wake()
  }

  channel.onMessage((bytes) => {
    received.bytes += bytes.length
    received.frames += 1
    // Rows are not decoded, because a process could not do that for hundreds of zones.
    if (bytes[0] === rowsTag) return receiveRows(bytes)
    const message = decodeMessage(bytes)
    if (message) receive(message)
  })
  send(helloOf(name, storeId))

  async function until(what: string, holds: () => boolean): Promise<void> {
    if (holds()) return
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const wake = () => holds() && resolve()
    const timer = systemClock.after(120_000, () => reject(new Error(`${name}: ${what}: not within 120 s`)))
    waiting.add(wake)
    await promise
    waiting.delete(wake)
    timer[Symbol.dispose]()
  }

  return {
    ...{ name, received, sent, welcomed: welcomed.promise },
    write(rows) {
      revision += 1
      const stamp = { incarnation: 1, originRevision: revision, createdAtMs: 1, modifiedAtMs: 1 }
      const delivered = rows.map(
        ({ key, labels, spec }): Delivered => ({ key, state: 'live', stamp, row: { key, stamp, labels, spec } }),
      )
      for (let at = 0; at < delivered.length; at += rowsPerFrame) {
        const some = delivered.slice(at, at + rowsPerFrame)
        pending.push({ type: 'rows', rows: some, bytes: encodeMessage({ type: 'rows', rows: some, bytes: 0 }).length })
      }
      pending.push({ type: 'mark', position: position() })
      sendPending()
    },
    untilStored: (at) => until(`stored ${at}`, () => stored >= at),
    untilStoredByGlobal: () => until('stored by the global', () => storedByGlobal >= revision),
    [Symbol.dispose]() {
      bookmarkTimer?.[Symbol.dispose]()
      markTimer?.[Symbol.dispose]()
      channel.cut('the measurement is over')
      channel[Symbol.dispose]()
    },
  }
}

/** Field 3 of a frame, length-delimited: rows. */
const rowsTag = 0x1a

const helloOf = (name: string, storeId: string): Message => ({
  type: 'hello',
  hello: {
    ...{ protocol: ownProtocol, storeId, incarnation: 1, host: name, startedAtMs: 1, version: 'bench' },
    ...{ position: undefined, creditBytes: windowBytes, replica: systemRandom.uuid(), uncovered: [] },
  },
})
