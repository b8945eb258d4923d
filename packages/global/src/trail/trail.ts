import { findKind } from '@zonemesh/core/registry.ts'
import type { ReportedTime, Trail, ZoneTimes } from '@zonemesh/plane/history/versions.ts'
import { byCodeUnit, type Json, type JsonObject } from '@zonemesh/shared/base/base.ts'
import type { Clock } from '@zonemesh/shared/env/clock.ts'
import type { Log } from '@zonemesh/shared/env/log.ts'
import { globalOrigin } from '@zonemesh/shared/resource/resource.ts'
import { HorizonError } from '@zonemesh/shared/store/errors.ts'
import { versionsBetween } from '@zonemesh/shared/store/state.ts'
import type { Store, Version } from '@zonemesh/shared/store/store.ts'
import type { ZoneStatus } from '@zonemesh/shared/sync/zone-status.ts'

interface Deps {
  readonly store: Store
  readonly clock: Clock
  readonly log: Log
}

/** Records when each zone stored and served the revisions that users wrote. */
export interface TrailKeeper extends AsyncDisposable {
  /** Records the report of a zone, in revisions of this store. */
  record(status: Pick<ZoneStatus, 'zone' | 'stored' | 'served'>): void
  readonly timesOf: Trail
}

/** Limit per zone: the newest 500 revisions that users wrote. */
const revisionsMax = 500
const flushEveryMs = 1_000
/**
 * Up to this distance, every revision is read by itself. Over a longer distance, only the newest version of each row
 * is read.
 */
const singleReadsMax = 200

type Times = Omit<ZoneTimes, 'zone'>
interface Zone {
  stored: number
  served: number
  readonly timesByRevision: Map<number, Times>
}

const levels = ['stored', 'served'] as const
const prefix = 'trail/'
const prefixOf = (revision: number): string => `${prefix}${revision}/`

/**
 * Opens the trail. It writes notes instead of commits, because a report on a revision must not create a revision.
 * Notes are written once per second. A crash loses the times of the last second, and the next report of a zone gives
 * later ones. Processes that share a store each write the reports that they receive, and the earliest time counts.
 */
export async function openTrail({ store, clock, log }: Deps): Promise<TrailKeeper> {
  /** The followed revisions, ascending. */
  let revisions: number[] = []
  const zones = new Map<string, Zone>()
  /** Notes to write. */
  let dirty = new Map<string, Times | undefined>()
  let timer: Disposable | undefined
  let flushing = Promise.resolve()
  let following: Promise<void> | undefined
  let woken = false
  let readRevision = (await store.mark()).revision

  async function load(): Promise<void> {
    for (const row of await store.scan({ kind: 'Zone', origin: globalOrigin })) zones.set(row.key.name, blank())
    const notes = [...(await store.notes.read(prefix))].map(([name, value]) => ({ ...parseNote(name), name, value }))
    const all = new Set([...(await revisionsOfRows(store)), ...notes.map(({ revision }) => revision)])
    revisions = [...all].sort((a, b) => a - b).slice(-revisionsMax)
    const kept = new Set(revisions)
    for (const { name, zone, revision, value } of notes) {
      const tracked = zones.get(zone)
      if (tracked && kept.has(revision)) tracked.timesByRevision.set(revision, timesFrom(value))
      else mark(name, undefined)
    }
  }

  /** Reads the commits of all processes in order. */
  async function follow(): Promise<void> {
    do {
      woken = false
      const { revision } = await store.mark()
      while (readRevision < revision) {
        const next = revision - readRevision > singleReadsMax ? revision : readRevision + 1
        for await (const version of versionsBetween(store, readRevision, next)) applyVersion(version)
        readRevision = next
      }
    } while (woken)
  }

  function wake(): void {
    woken = true
    following ??= follow()
      .catch((thrown: unknown) => {
        // Pruned revisions have no history to show. Other errors are tried again at the next mark.
        if (thrown instanceof HorizonError) readRevision = thrown.horizon
        else log.error({ err: thrown }, 'cannot read new commits for the trail of zones; trying again at the next mark')
      })
      .finally(() => {
        following = undefined
        if (woken) wake()
      })
  }

  function applyVersion({ key, state, revision }: Version): void {
    if (key.origin !== globalOrigin || !isPublic(key.kind)) return
    if (key.kind === 'Zone' && state !== 'live') drop(key.name)
    else if (key.kind === 'Zone' && !zones.has(key.name)) zones.set(key.name, blank())
    track(revision)
  }

  function mark(name: string, times: Times | undefined): void {
    dirty.set(name, times)
    timer ??= clock.after(flushEveryMs, () => {
      timer = undefined
      void flush()
    })
  }

  function flush(): Promise<void> {
    const entries = [...dirty]
    dirty = new Map()
    flushing = flushing.then(async () => {
      try {
        const stored = await notesOf(new Set(entries.map(([name]) => parseNote(name).revision)))
        const notes = entries.map(([name, times]) => {
          return { name, value: times && noteFrom(earliest(timesFrom(stored.get(name) ?? {}), times)) }
        })
        if (notes.length > 0) await store.notes.put(notes)
      } catch (thrown) {
        log.error({ err: thrown }, 'cannot store when zones received revisions; trying again with the next notes')
        // Queues the notes again, unless newer ones are queued.
        for (const [name, times] of entries) if (!dirty.has(name)) dirty.set(name, times)
      }
    })
    return flushing
  }

  async function notesOf(revisions: ReadonlySet<number>): Promise<ReadonlyMap<string, JsonObject>> {
    const pages = [...revisions].map(async (revision) => [...(await store.notes.read(prefixOf(revision)))])
    return new Map((await Promise.all(pages)).flat())
  }

  function track(revision: number): void {
    if (revision <= (revisions.at(-1) ?? 0)) return
    revisions.push(revision)
    const dropped = revisions.length > revisionsMax ? revisions.shift() : undefined
    for (const [name, zone] of zones) {
      if (dropped !== undefined && zone.timesByRevision.delete(dropped)) mark(prefixOf(dropped) + name, undefined)
      // The report of a zone may have arrived before this process read the commit.
      recordTimes(name, zone, { stored: revision - 1, served: revision - 1 })
    }
  }

  /** Records the times of a zone for the revisions above those of its former report. */
  function recordTimes(name: string, zone: Zone, former: { readonly stored: number; readonly served: number }): void {
    const atMs = clock.wallMs()
    for (const level of levels) {
      for (let index = revisions.length - 1; index >= 0; index -= 1) {
        const revision = revisions[index] ?? 0
        if (revision <= former[level]) break
        const times = zone.timesByRevision.get(revision) ?? {}
        if (revision > zone[level] || times[level]) continue
        const next = { ...times, [level]: { atMs, revision: zone[level] } }
        zone.timesByRevision.set(revision, next)
        mark(prefixOf(revision) + name, next)
      }
    }
  }

  function drop(name: string): void {
    for (const revision of zones.get(name)?.timesByRevision.keys() ?? []) mark(prefixOf(revision) + name, undefined)
    zones.delete(name)
  }

  await load()
  const listening = store.onMark(wake)
  wake()
  return {
    record({ zone: name, stored, served }) {
      const zone = zones.get(name)
      if (!zone) return
      const { stored: storedBefore, served: servedBefore } = zone
      zone.stored = stored
      zone.served = served
      if (stored > storedBefore || served > servedBefore)
        recordTimes(name, zone, { stored: storedBefore, served: servedBefore })
    },
    async timesOf(revision) {
      await following
      const noted = await store.notes.read(prefixOf(revision))
      return [...zones]
        .flatMap(([zone, { timesByRevision }]): ZoneTimes[] => {
          const times = earliest(
            timesFrom(noted.get(prefixOf(revision) + zone) ?? {}),
            timesByRevision.get(revision) ?? {},
          )
          return times.stored || times.served ? [{ zone, ...times }] : []
        })
        .sort((a, b) => byCodeUnit(a.zone, b.zone))
    },
    async [Symbol.asyncDispose]() {
      listening[Symbol.dispose]()
      while (following) await following
      timer?.[Symbol.dispose]()
      await flush()
    },
  }
}

const blank = (): Zone => ({ stored: 0, served: 0, timesByRevision: new Map() })

const isPublic = (kind: string): boolean => findKind(kind)?.internal === false

/** The revisions of the own live rows. The revision of a deleted row is known only from its notes. */
async function revisionsOfRows(store: Store): Promise<readonly number[]> {
  const head = (await store.head()).revision
  const rows = await store.scan({ origin: globalOrigin })
  const revisions = rows.filter(({ key }) => isPublic(key.kind)).map(({ stamp }) => stamp.originRevision)
  // Rows that were recovered from a zone after a loss may have revisions of the lost store.
  return revisions.filter((revision) => revision <= head)
}

/** Parses the name of a note, such as `trail/12/east`. */
function parseNote(name: string): { readonly revision: number; readonly zone: string } {
  const [, revision = '', zone = ''] = name.split('/')
  return { revision: Number(revision), zone }
}

const timeNote = ({ atMs, revision }: ReportedTime): JsonObject => ({ atMs, revision })

const noteFrom = ({ stored, served }: Times): JsonObject => ({
  ...(stored ? { stored: timeNote(stored) } : {}),
  ...(served ? { served: timeNote(served) } : {}),
})

function earliest(a: Times, b: Times): Times {
  const first = (one: ReportedTime | undefined, other: ReportedTime | undefined) =>
    one && other ? (other.atMs < one.atMs ? other : one) : (one ?? other)
  const [stored, served] = [first(a.stored, b.stored), first(a.served, b.served)]
  return { ...(stored ? { stored } : {}), ...(served ? { served } : {}) }
}

/** Parses a note. An unknown format, of another version of this software, only loses the times. */
function timesFrom(value: JsonObject): Times {
  const [stored, served] = levels.map((level) => timeFrom(value[level]))
  return { ...(stored ? { stored } : {}), ...(served ? { served } : {}) }
}

function timeFrom(value: Json | undefined): ReportedTime | undefined {
  if (value === null || value === undefined || typeof value !== 'object' || !('atMs' in value)) return undefined
  const { atMs, revision } = value
  return typeof atMs === 'number' && typeof revision === 'number' ? { atMs, revision } : undefined
}
