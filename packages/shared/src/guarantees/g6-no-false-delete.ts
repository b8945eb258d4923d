import type { HistoryEvent, Judge, SeenVersion, Violation } from './history.ts'

type Written = Extract<HistoryEvent, { type: 'written' }>
type Exchanged = Extract<HistoryEvent, { type: 'store-exchanged' }>

/** The history of a key at its owner. */
interface Owned {
  /** The newest version in which the owner has removed the key, in the history that its store holds. */
  gone: SeenVersion | undefined
  goneAtMs: number
  /** The removal of the key in the history that the owner has lost, if its older copy has the key again. */
  goneInLostHistory: SeenVersion | undefined
  /** The life of the owner's store in which each version was written, by its stamp. */
  readonly lifeByStamp: Map<string, number>
  /** The key has survived the last exchange of the owner's store and was not removed since. */
  isKept: boolean
}

const stampOf = ({ incarnation, originRevision }: SeenVersion) => `${incarnation}.${originRevision}`
const isNewer = (a: SeenVersion, b: SeenVersion) =>
  a.incarnation !== b.incarnation ? a.incarnation > b.incarnation : a.originRevision > b.originRevision

/**
 * G6: a row disappears at a reader only if its owner no longer has it. There are two cases. The owner has deleted it
 * with a newer stamp than that of the reader's version. Or that version was written in a former life of the owner's
 * store and has not survived the exchange. If the store of the global was exchanged, an operator must have released the
 * zone since then. If the store of a zone was exchanged, the global must have waited for `formerStayMs`, unless its own
 * store was exchanged too.
 */
export const judgeNoFalseDelete =
  (options: { readonly formerStayMs: number } = { formerStayMs: 0 }): Judge =>
  (history) => {
    const violations: Violation[] = []
    const ownedByKey = new Map<string, Owned>()
    const exchangedByPlane = new Map<string, Exchanged>()
    /** When each life of a store ended, by plane and life. */
    const endedAtMs = new Map<string, number>()
    const releasedAtMs = new Map<string, number>()
    const heldByReader = new Map<string, SeenVersion>()

    function ownedOf(key: string): Owned {
      const known = ownedByKey.get(key)
      if (known) return known
      const made: Owned = {
        gone: undefined,
        goneAtMs: 0,
        goneInLostHistory: undefined,
        lifeByStamp: new Map(),
        isKept: false,
      }
      ownedByKey.set(key, made)
      return made
    }

    function own(event: Written, version: SeenVersion): void {
      const owned = ownedOf(version.key)
      if (version.state === 'live') {
        owned.lifeByStamp.set(stampOf(version), event.life)
      } else {
        owned.isKept = false
        owned.gone = version
        owned.goneAtMs = event.atMs
      }
    }

    /** Why the reader may not lose the version; undefined if it may. */
    function objection(event: Written, version: SeenVersion): string | undefined {
      const { origin, key } = version
      const owned = ownedOf(key)
      // Rows that `zonemesh chaos` lists have no stamps, so any removal of the owner counts.
      if (owned.gone && (version.originRevision === 0 || isNewer(owned.gone, version))) return undefined
      const exchanged = exchangedByPlane.get(origin)
      const life = owned.lifeByStamp.get(stampOf(version)) ?? 0
      if (!exchanged || exchanged.life <= life) return `which ${origin} has`
      if (owned.isKept) return `which ${origin} still has after its store was exchanged`
      // The owner has removed the key in its present history, regardless of the stamp.
      const isRemoved = owned.gone !== undefined && owned.goneAtMs >= exchanged.atMs
      if (origin === 'global') {
        const isDecided = (releasedAtMs.get(event.plane) ?? Number.NEGATIVE_INFINITY) >= exchanged.atMs
        return isDecided ? undefined : 'of a former history, before an operator has released it'
      }
      const isUnknown = exchangedByPlane.has('global')
      // Rows of a former life wait from the end of that life: a second exchange does not start the wait again.
      const waitedMs = event.atMs - (endedAtMs.get(`${origin} ${life}`) ?? exchanged.atMs)
      if (isRemoved || isUnknown || waitedMs >= options.formerStayMs) return undefined
      return `of a former life of ${origin}, ${Math.round(waitedMs)} ms after the exchange`
    }

    function read(event: Written, version: SeenVersion): void {
      const name = `${event.plane} ${version.key}`
      const held = heldByReader.get(name)
      if (version.state === 'live') {
        heldByReader.set(name, version)
        return
      }
      heldByReader.delete(name)
      // The owner's own removal, which was on its way when the owner lost that history.
      const late = ownedOf(version.key).goneInLostHistory
      if (late && version.state === 'deleted' && stampOf(late) === stampOf(version)) return
      const reason = held && objection(event, held)
      if (!reason) return
      violations.push({ guarantee: 'G6', atMs: event.atMs, reason: `${event.plane} lost ${version.key}, ${reason}` })
    }

    function exchange(event: Exchanged): void {
      exchangedByPlane.set(event.plane, event)
      endedAtMs.set(`${event.plane} ${event.life - 1}`, event.atMs)
      for (const name of [...heldByReader.keys()]) if (name.startsWith(`${event.plane} `)) heldByReader.delete(name)
      const kept = new Set(event.kept)
      for (const [key, owned] of ownedByKey) {
        if (!key.startsWith(`${event.plane}/`)) continue
        owned.isKept = kept.has(key)
        // A removal in the lost history no longer counts if the key is live in the older copy.
        if (!owned.isKept) continue
        owned.goneInLostHistory = owned.gone
        owned.gone = undefined
      }
    }

    for (const event of history) {
      if (event.type === 'store-exchanged') exchange(event)
      if (event.type === 'released') releasedAtMs.set(event.zone, event.atMs)
      if (event.type !== 'written') continue
      for (const version of event.versions) {
        if (version.origin === event.plane) own(event, version)
        else read(event, version)
      }
    }
    return violations
  }
