import { globalOrigin } from '../resource/resource.ts'
import type { Store } from '../store/store.ts'
import type { Hello, ReplaceReason } from './log/messages.ts'
import { positionKind } from './log/rounds.ts'
import type { RemoteZone } from './replicas.ts'
import type { Session } from './session.ts'

/** A session with a zone, as far as it decides which zones are complete. */
export interface Completing {
  readonly session: Pick<Session, 'stored' | 'late'>
  readonly hello: Hello
  /** The newest mark of the zone's own store, by its last bookmark. */
  mark: number
  /** The revision of the global that includes everything that this session has stored. */
  storedAt: number
  /** `storedAt` when the global first had everything up to the zone's newest mark in this session. */
  completeAt: number | undefined
  /**
   * The origins that a replacement in this session has named. Of other origins the zone may have rows that no longer
   * exist.
   */
  named: ReadonlySet<string> | undefined
}

export const nothingComplete = {
  mark: Number.POSITIVE_INFINITY,
  storedAt: 0,
  completeAt: undefined,
  named: undefined,
} satisfies Partial<Completing>

interface Deps {
  readonly store: Pick<Store, 'scan'>
  /** The sessions with zones in this process, and the zones with a session on another replica. */
  readonly sessions: ReadonlyMap<string, Completing>
  readonly remote: () => ReadonlyMap<string, RemoteZone>
}

/**
 * Decides which origins a replacement names. A reader removes the rows of a named origin that the replacement does not
 * contain, so the global names a zone only at revisions that have all rows of the zone. If a reader has rows of a zone
 * that was not complete, the zone follows in a late replacement.
 */
export function createCompleteness({ store, sessions, remote }: Deps) {
  const completeAt = (zone: string): number | undefined => (sessions.get(zone) ?? remote().get(zone))?.completeAt

  const isUnnamed = ({ hello, named }: Completing, zone: string): boolean =>
    hello.position !== undefined && named?.has(zone) === false

  function sendLate({ session }: Completing, zone: string): void {
    const at = completeAt(zone)
    if (at !== undefined) session.late([zone], at)
  }

  /** Zones with older rows of a complete zone get a replacement. */
  function announce(zone: string): void {
    for (const [reader, session] of sessions) {
      if (reader !== zone && (session.hello.uncovered.includes(zone) || isUnnamed(session, zone)))
        sendLate(session, zone)
    }
  }

  /**
   * The origins that this store can name completely: the global, and each zone that has a position row, because its
   * rows up to a mark are stored. A reader with another history of this store may have newer rows of a zone than the
   * store, and so may a reader for which they were unnamed before. For such a reader, only zones that are complete in
   * their current session at this revision count.
   */
  async function originsFor(reader: string, { hello }: Completing, at: number, reason: ReplaceReason) {
    const positions = await store.scan({ origin: globalOrigin, kind: positionKind }, { at })
    const zones = positions.map((row) => row.key.name).filter((zone) => zone !== reader)
    const isNewerAtReader = (zone: string) => reason === 'diverged' || hello.uncovered.includes(zone)
    const isComplete = (zone: string) => (completeAt(zone) ?? Number.POSITIVE_INFINITY) <= at
    return [globalOrigin, ...zones.filter((zone) => !isNewerAtReader(zone) || isComplete(zone))]
  }

  return {
    announce,
    /** Marks the zone of a session as complete once the global has stored all its rows. */
    consider(zone: string, session: Completing): void {
      const stored = session.session.stored()
      const isBehind = stored?.store !== session.hello.storeId || stored.revision < session.mark
      if (session.completeAt !== undefined || isBehind) return
      session.completeAt = session.storedAt
      announce(zone)
    },
    /** A session has begun: zones that are complete already follow at once. */
    begun(session: Completing): void {
      for (const origin of session.hello.uncovered) sendLate(session, origin)
    },
    /** The origins that a replacement for a reader names at revision `at`. */
    async name(reader: string, session: Completing, at: number, reason: ReplaceReason): Promise<readonly string[]> {
      const origins = await originsFor(reader, session, at, reason)
      session.named = new Set(origins)
      // Zones may have become complete after revision `at`, before this session had names.
      for (const zone of new Set([...sessions.keys(), ...remote().keys()])) {
        if (zone !== reader && isUnnamed(session, zone)) sendLate(session, zone)
      }
      return origins
    },
  }
}

export type Completeness = ReturnType<typeof createCompleteness>
