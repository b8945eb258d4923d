import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf'
import {
  type Bookmark as BookmarkFrame,
  type BookmarkSchema,
  type Frame,
  FrameSchema,
  type Position as PositionFrame,
  ReplaceBegin_Reason,
  RowSchema,
  RowState,
  RowsSchema,
} from '../../../gen/zonemesh/sync/v1/sync_pb.js'
import type { JsonObject } from '../../base/base.ts'
import { nestingMax, nestsDeeper } from '../../base/nesting.ts'
import { causesMax, parseTraceparent, type Traceparent } from '../../env/trace.ts'
import { queryFrom, queryMessage } from '../../query/frames.ts'
import type { Position } from '../../store/store.ts'
import {
  type Bookmark,
  type Delivered,
  goodbyeCodes,
  type Message,
  type ReplaceReason,
  type Verdict,
} from './messages.ts'

/** A row is encoded once for all zones, as long as its version stays in memory. */
const encodedByContent = new WeakMap<object, Uint8Array>()
const jsonBytes = new TextEncoder()
const textOf = new TextDecoder('utf-8', { fatal: true })

/** The bytes of one row. The same version gives the same bytes. */
export function encodeRow(delivered: Delivered): Uint8Array {
  const identity = delivered.row ?? delivered
  const known = encodedByContent.get(identity)
  if (known) return known
  const { key, state, stamp, row, declared } = delivered
  const bytes = toBinary(
    RowSchema,
    create(RowSchema, {
      origin: key.origin,
      kind: key.kind,
      mesh: key.mesh,
      name: key.name,
      state: { live: RowState.LIVE, deleted: RowState.DELETED, forgotten: RowState.FORGOTTEN }[state],
      incarnation: BigInt(stamp.incarnation),
      originRevision: BigInt(stamp.originRevision),
      createdAtMs: BigInt(stamp.createdAtMs),
      modifiedAtMs: BigInt(stamp.modifiedAtMs),
      ...(declared ? { intended: true } : {}),
      ...(row ? { labels: { ...row.labels }, spec: jsonBytes.encode(JSON.stringify(row.spec)) } : {}),
    }),
  )
  encodedByContent.set(identity, bytes)
  return bytes
}

/** One frame. `number` is its place in one direction of a session; the handshake is not counted. */
export function encodeMessage(message: Message, number = 0): Uint8Array {
  if (message.type === 'rows') return encodeRows(message.rows.map(encodeRow), number)
  return toBinary(FrameSchema, create(FrameSchema, { message: frameOf(message), number: BigInt(number) }))
}

const lengthDelimited = 2
const tagOf = (field: number, wireType: number) => field * 8 + wireType
const rowsTag = tagOf(FrameSchema.field.rows.number, lengthDelimited)
const rowTag = tagOf(RowsSchema.field.rows.number, lengthDelimited)
const numberTag = tagOf(FrameSchema.field.number.number, 0)

/**
 * A frame of rows, as `toBinary` would encode it. Each zone needs its own frame of the same rows, so this function
 * copies the bytes of each row only once.
 */
function encodeRows(rows: readonly Uint8Array[], number: number): Uint8Array {
  const sizeOf = ({ length }: Uint8Array) => varintBytes(rowTag) + varintBytes(length) + length
  const inner = rows.reduce((sum, row) => sum + sizeOf(row), 0)
  const numbered = number > 0 ? varintBytes(numberTag) + varintBytes(number) : 0
  const bytes = new Uint8Array(varintBytes(rowsTag) + varintBytes(inner) + inner + numbered)
  let at = 0
  const put = (value: number) => {
    for (; value > 0x7f; value = Math.floor(value / 0x80)) {
      bytes[at] = (value % 0x80) + 0x80
      at += 1
    }
    bytes[at] = value
    at += 1
  }
  put(rowsTag)
  put(inner)
  for (const row of rows) {
    put(rowTag)
    put(row.length)
    bytes.set(row, at)
    at += row.length
  }
  if (numbered === 0) return bytes
  put(numberTag)
  put(number)
  return bytes
}

function varintBytes(value: number): number {
  let bytes = 1
  for (; value > 0x7f; value = Math.floor(value / 0x80)) bytes += 1
  return bytes
}

type FrameInit = NonNullable<MessageInitShape<typeof FrameSchema>['message']>

function frameOf(message: Exclude<Message, { readonly type: 'rows' }>): FrameInit {
  switch (message.type) {
    case 'mark':
      return {
        case: 'mark',
        value: { position: positionFrame(message.position), traceparents: [...(message.traceparents ?? [])] },
      }
    case 'replace': {
      const { origins, position, reason } = message
      return {
        case: 'replaceBegin',
        value: { origins: [...origins], position: positionFrame(position), reason: reasonFrames[reason] },
      }
    }
    case 'credit':
      return { case: 'credit', value: { bytes: BigInt(message.bytes) } }
    case 'release':
      return { case: 'release', value: { hold: message.hold } }
    case 'query':
      return { case: 'query', value: queryMessage(message.frame) }
    case 'goodbye':
      return { case: 'goodbye', value: message.goodbye }
    case 'bookmark':
      return { case: 'bookmark', value: bookmarkFrame(message.bookmark) }
    case 'report': {
      const { reset, changed, removed } = message.report
      const entries = changed.map(({ key, value }) => ({ key, value: jsonBytes.encode(JSON.stringify(value)) }))
      return { case: 'report', value: { reset, changed: entries, removed: [...removed] } }
    }
    case 'hello': {
      const { protocol, incarnation, startedAtMs, position, creditBytes, uncovered, ...frame } = message.hello
      const { reserve, leaderTerm, ...plain } = frame
      return {
        case: 'hello',
        value: {
          ...plain,
          protocolMin: protocol.min,
          protocolMax: protocol.max,
          features: [...protocol.features],
          incarnation: BigInt(incarnation),
          startedAtMs: BigInt(startedAtMs),
          uncovered: [...uncovered],
          creditBytes: BigInt(creditBytes),
          ...(leaderTerm === undefined ? {} : { leaderTerm: BigInt(leaderTerm) }),
          ...(reserve ? { reservedBelow: BigInt(reserve.below), reserveCount: BigInt(reserve.count) } : {}),
          ...(position ? { position: positionFrame(position) } : {}),
        },
      }
    }
    case 'welcome': {
      const { epoch, position, creditBytes, formerIncarnation, features, reserved, recall, ...plain } = message.welcome
      return {
        case: 'welcome',
        value: {
          ...plain,
          features: [...features],
          epoch: BigInt(epoch),
          formerIncarnation: BigInt(formerIncarnation),
          creditBytes: BigInt(creditBytes),
          ...(reserved ? { reservedBelow: BigInt(reserved.below), reservedBefore: BigInt(reserved.before) } : {}),
          ...(recall ? { recall: jsonBytes.encode(JSON.stringify(recall)) } : {}),
          ...(position ? { position: positionFrame(position) } : {}),
        },
      }
    }
  }
}

function bookmarkFrame(bookmark: Bookmark): MessageInitShape<typeof BookmarkSchema> {
  const { sent, mark, stored, served, holds, blocked, verdicts, counters, silentProxies, wallClockMs } = bookmark
  const { sentAtMs = 0, echoMs = 0 } = bookmark
  return {
    sent: BigInt(sent),
    mark: BigInt(mark),
    holds: holds.map((hold) => ({ ...hold })),
    stored: BigInt(stored),
    served: BigInt(served),
    blocked,
    verdicts: verdicts.map((verdict) => ({ ...verdict, revision: BigInt(verdict.revision) })),
    counters: {
      ...counters,
      rowsReceived: BigInt(counters.rowsReceived),
      rowsApplied: BigInt(counters.rowsApplied),
      rowsRefused: BigInt(counters.rowsRefused),
      bytesReceived: BigInt(counters.bytesReceived),
    },
    silentProxies: [...silentProxies],
    wallClockMs: BigInt(wallClockMs),
    sentAtMs: BigInt(sentAtMs),
    echoMs: BigInt(echoMs),
  }
}

const positionFrame = (position: Position) => ({ ...position, revision: BigInt(position.revision) })

const reasonFrames: Record<ReplaceReason, ReplaceBegin_Reason> = {
  new: ReplaceBegin_Reason.NEW,
  behind: ReplaceBegin_Reason.BEHIND,
  diverged: ReplaceBegin_Reason.DIVERGED,
  late: ReplaceBegin_Reason.LATE,
}

/**
 * Decodes one frame. The message is undefined if its kind belongs to a later protocol. Throws if the bytes are no frame
 * or if a row is damaged.
 */
export function decodeFrame(bytes: Uint8Array): { readonly message: Message | undefined; readonly number: number } {
  const { message, number } = fromBinary(FrameSchema, bytes)
  return { message: messageFrom(message), number: Number(number) }
}

export const decodeMessage = (bytes: Uint8Array): Message | undefined => decodeFrame(bytes).message

function messageFrom(message: Frame['message']): Message | undefined {
  switch (message.case) {
    case 'rows': {
      const size = message.value.rows.reduce((sum, row) => sum + row.length, 0)
      return { type: 'rows', rows: message.value.rows.map(decodeRow), bytes: size }
    }
    case 'mark':
      return {
        type: 'mark',
        position: requiredPosition(message.value.position),
        ...traceparentsFrom(message.value.traceparents),
      }
    case 'replaceBegin': {
      const { origins, position, reason } = message.value
      return { type: 'replace', origins, position: requiredPosition(position), reason: reasonFrom(reason) }
    }
    case 'credit':
      return { type: 'credit', bytes: Number(message.value.bytes) }
    case 'release':
      return { type: 'release', hold: message.value.hold }
    case 'query': {
      const frame = queryFrom(message.value)
      return frame && { type: 'query', frame }
    }
    case 'goodbye': {
      const code = goodbyeCodes.find((known) => known === message.value.code) ?? 'failed'
      return { type: 'goodbye', goodbye: { code, reason: message.value.reason } }
    }
    case 'bookmark':
      return { type: 'bookmark', bookmark: bookmarkFrom(message.value) }
    case 'report': {
      const { reset, changed, removed } = message.value
      const entries = changed.map(({ key, value }) => ({ key, value: objectFrom(value) }))
      return { type: 'report', report: { reset, changed: entries, removed } }
    }
    case 'hello': {
      const { protocolMin, protocolMax, features, storeId, host, version, replica, uncovered, ...frame } = message.value
      const { incarnation, startedAtMs, creditBytes, position, reservedBelow, reserveCount, leaderTerm } = frame
      const known = { position: position && positionFrom(position), replica, uncovered }
      const protocol = { min: protocolMin > 0 ? protocolMin : protocolMax, max: protocolMax, features }
      const facts = { protocol, storeId, host, version, ...known }
      const numbers = {
        incarnation: Number(incarnation),
        startedAtMs: Number(startedAtMs),
        creditBytes: Number(creditBytes),
        reserve: { below: Number(reservedBelow), count: Number(reserveCount) },
        ...(leaderTerm > 0n ? { leaderTerm: Number(leaderTerm) } : {}),
      }
      return { type: 'hello', hello: { ...facts, ...numbers } }
    }
    case 'welcome': {
      const { protocol, features, storeId, epoch, position, creditBytes, version, zone, host, ...frame } = message.value
      const { formerIncarnation, reservedBelow, reservedBefore, recall } = frame
      const facts = { protocol, features, storeId, version, zone, host, position: position && positionFrom(position) }
      const numbers = { epoch: Number(epoch), creditBytes: Number(creditBytes) }
      const standing = standings.find((known) => known === message.value.standing) ?? 'new'
      const more = {
        formerIncarnation: Number(formerIncarnation),
        standing,
        ...(reservedBelow > 0n ? { reserved: { below: Number(reservedBelow), before: Number(reservedBefore) } } : {}),
        ...(recall.length > 0 ? { recall: objectFrom(recall) } : {}),
      }
      return { type: 'welcome', welcome: { ...facts, ...numbers, ...more } }
    }
    case undefined:
      return undefined
  }
}

const standings = ['valid', 'behind', 'diverged', 'new'] as const

function decodeRow(bytes: Uint8Array): Delivered {
  const frame = fromBinary(RowSchema, bytes)
  const { origin, kind, mesh, name } = frame
  const key = { origin, kind, mesh, name }
  const stamp = {
    incarnation: Number(frame.incarnation),
    originRevision: Number(frame.originRevision),
    createdAtMs: Number(frame.createdAtMs),
    modifiedAtMs: Number(frame.modifiedAtMs),
  }
  if ([origin, kind, mesh, name].some((part) => part.includes('/')))
    throw new Error(`a row's key has a "/": ${JSON.stringify(key)}`)
  if (frame.state === RowState.DELETED)
    return { key, state: 'deleted', stamp, ...(frame.intended ? { declared: true } : {}) }
  if (frame.state === RowState.FORGOTTEN) return { key, state: 'forgotten', stamp }
  if (frame.state !== RowState.LIVE) throw new Error(`a row has the unknown state ${frame.state}`)
  return { key, state: 'live', stamp, row: { key, stamp, labels: frame.labels, spec: objectFrom(frame.spec) } }
}

/**
 * Replaces the content of a peer's row that nests too deeply. The row, its round and the session stay. Own rows never
 * do.
 */
const tooDeep = { refused: `the content nests deeper than ${nestingMax} levels` } as const

function objectFrom(bytes: Uint8Array): JsonObject {
  const text = textOf.decode(bytes)
  if (nestsDeeper(text, nestingMax)) return tooDeep
  const value: unknown = JSON.parse(text)
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new Error('a value is not a JSON object')
  // JSON.parse returns only JSON values, and this value is an object.
  return value as JsonObject
}

const positionFrom = ({ store, revision, commitId }: PositionFrame): Position => ({
  store,
  revision: Number(revision),
  commitId,
})

/** A peer may send anything: only well-formed contexts count, and only the last ones. */
function traceparentsFrom(texts: readonly string[]): { readonly traceparents?: readonly Traceparent[] } {
  const traceparents = texts.slice(-causesMax).flatMap((text) => parseTraceparent(text) ?? [])
  return traceparents.length > 0 ? { traceparents } : {}
}

function requiredPosition(frame: PositionFrame | undefined): Position {
  if (!frame) throw new Error('a mark without a position')
  return positionFrom(frame)
}

/** An unknown reason counts as `diverged`, the reason with the strictest guard. */
function reasonFrom(frame: ReplaceBegin_Reason): ReplaceReason {
  if (frame === ReplaceBegin_Reason.NEW) return 'new'
  if (frame === ReplaceBegin_Reason.LATE) return 'late'
  return frame === ReplaceBegin_Reason.BEHIND ? 'behind' : 'diverged'
}

function bookmarkFrom(frame: BookmarkFrame): Bookmark {
  const { counters } = frame
  return {
    sent: Number(frame.sent),
    mark: Number(frame.mark),
    holds: frame.holds.map(({ id, origin, reason, removals }) => ({ id, origin, reason, removals })),
    stored: Number(frame.stored),
    served: Number(frame.served),
    blocked: frame.blocked,
    verdicts: frame.verdicts.map(
      ({ key, revision, outcome, reason, subject }): Verdict => ({
        key,
        revision: Number(revision),
        outcome: outcome === 'accepted' || outcome === 'rejected' ? outcome : 'quarantined',
        reason,
        subject,
      }),
    ),
    counters: {
      rowsReceived: Number(counters?.rowsReceived ?? 0),
      rowsApplied: Number(counters?.rowsApplied ?? 0),
      rowsRefused: Number(counters?.rowsRefused ?? 0),
      bytesReceived: Number(counters?.bytesReceived ?? 0),
      proxies: counters?.proxies ?? 0,
      proxiesConnected: counters?.proxiesConnected ?? 0,
    },
    silentProxies: frame.silentProxies,
    wallClockMs: Number(frame.wallClockMs),
    ...(frame.sentAtMs > 0n ? { sentAtMs: Number(frame.sentAtMs) } : {}),
    ...(frame.echoMs > 0n ? { echoMs: Number(frame.echoMs) } : {}),
  }
}
