import { encodeMessage, encodeRow } from '@zonemesh/shared/sync/log/frames.ts'
import { type Delivered, type Message, noCounters } from '@zonemesh/shared/sync/log/messages.ts'
import { announcement, dataplane, type Put, policy } from './rows.ts'

/** The bytes of frames by the real encoder, without the number of the frame. */
export interface FrameBytes {
  readonly mark: number
  readonly credit: number
  /** One row inside a frame of rows. */
  readonly policy: number
  readonly announcement: number
  readonly dataplane: number
  /** A frame of rows without its rows. */
  readonly rows: number
}

const incarnation = 1_800_000_000_000
const revision = 10_000

const delivered = ({ key, labels, spec }: Put): Delivered => {
  const stamp = { incarnation, originRevision: revision, createdAtMs: incarnation, modifiedAtMs: incarnation }
  return { key, state: 'live', stamp, row: { key, stamp, labels, spec } }
}

/** What a bookmark of the model reports: revisions of both logs, and what its sender has received. */
export interface BookmarkLevels {
  /** The place of the frame in its direction of the session. */
  readonly number: number
  readonly sent: number
  readonly stored: number
  readonly served: number
  readonly rows: number
  readonly rowBytes: number
}

/** Some minutes after the start of a process. */
const processMs = 1_000_000

const bookmarkOf = ({ sent, stored, served, rows, rowBytes }: Omit<BookmarkLevels, 'number'>): Message => ({
  type: 'bookmark',
  bookmark: {
    ...{ sent, mark: sent, stored, served, holds: [], blocked: '', verdicts: [], silentProxies: [] },
    counters: { ...noCounters, rowsReceived: rows, rowsApplied: rows, bytesReceived: rowBytes },
    ...{ wallClockMs: incarnation, sentAtMs: processMs, echoMs: processMs },
  },
})

const nothing = { sent: 0, stored: 0, served: 0, rows: 0, rowBytes: 0 }
const emptyBookmarkBytes = encodeMessage(bookmarkOf(nothing), 0).length

/** The number of a frame has a tag of two bytes. */
export const numberBytes = (number: number): number => (number === 0 ? 0 : 2 + varintBytes(number))

/** The bytes of a field with a tag of one byte; a field that is 0 is not sent. */
const fieldBytes = (value: number): number => (value === 0 ? 0 : 1 + varintBytes(value))

function varintBytes(value: number): number {
  let bytes = 1
  for (let rest = value; rest > 0x7f; rest = Math.floor(rest / 0x80)) bytes += 1
  return bytes
}

/** The bytes of a bookmark, as `bookmarkBytesByEncoder` but without encoding it: a run has millions of them. */
export function bookmarkBytes({ number, sent, stored, served, rows, rowBytes }: BookmarkLevels): number {
  const levels = 2 * fieldBytes(sent) + fieldBytes(stored) + fieldBytes(served)
  const counters = 2 * fieldBytes(rows) + fieldBytes(rowBytes)
  return emptyBookmarkBytes + levels + counters + numberBytes(number)
}

export const bookmarkBytesByEncoder = ({ number, ...levels }: BookmarkLevels): number =>
  encodeMessage(bookmarkOf(levels), number).length

export function frameBytes(): FrameBytes {
  const sizeOf = (message: Message) => encodeMessage(message).length
  const rowOf = (put: Put) => {
    const row = encodeRow(delivered(put)).length
    return row + (row > 127 ? 3 : 2)
  }
  const position = { store: '0'.repeat(36), revision, commitId: '0'.repeat(16) }
  const row = policy(1)
  return {
    mark: sizeOf({ type: 'mark', position }),
    credit: sizeOf({ type: 'credit', bytes: 300 }),
    policy: rowOf(row),
    announcement: rowOf(announcement('zone-100', 1_000)),
    dataplane: rowOf(dataplane('zone-100', 1_000)),
    rows: sizeOf({ type: 'rows', rows: [delivered(row)], bytes: 0 }) - rowOf(row),
  }
}
