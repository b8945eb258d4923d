import { findKind } from '@zonemesh/core/registry.ts'
import type { Told, Trail, ZoneTimes } from '@zonemesh/plane/history/versions.ts'
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

/** Follows which zone stored and served what people wrote, and since when. */
export interface TrailKeeper extends AsyncDisposable {
  /** What a zone says that it has, in revisions of this store. */
  told(status: Pick<ZoneStatus, 'zone' | 'stored' | 'served'>): void
  readonly timesOf: Trail
}

/** Limit: the newest 500 revisions that people wrote, of each zone that there is. */
const revisionsMax = 500
const flushEveryMs = 1_000
/** So far back each revision is looked at by itself; of a longer stretch only what its rows are at the end. */
const lookedAtMax = 200

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
 * Writes notes, not commits: what zones tell of a revision must not make revisions. A note is written once the second is over,
 * so that a crash costs the times of that second and nothing else; the next word of the zone gives later ones. Processes that
 * share a store each note what the zones tell them; the earliest time counts.
 */
export async function openTrail({ store, clock, log }: Deps): Promise<TrailKeeper> {
  /** Ascending. */
  let revisions: number[] = []
  const zones = new Map<string, Zone>()
  /** Notes that were not written yet. */
  let dirty = new Map<string, Times | undefined>()
  let timer: Disposable | undefined
  let flushing = Promise.resolve()
  let following: Promise<void> | undefined
  let woken = false
  let seen = (await store.mark()).revision

  async function load(): Promise<void> {
    for (const row of await store.scan({ kind: 'Zone', origin: globalOrigin })) zones.set(row.key.name, blank())
    const notes = [...(await store.notes.read(prefix))].map(([name, value]) => ({ ...parseNote(name), name, value }))
    const all = new Set([...(await writtenByPeople(store)), ...notes.map(({ revision }) => revision)])
    revisions = [...all].sort((a, b) => a - b).slice(-revisionsMax)
    const kept = new Set(revisions)
    for (const { name, zone, revision, value } of notes) {
      const known = zones.get(zone)
      if (known && kept.has(revision)) known.timesByRevision.set(revision, timesFrom(value))
      else mark(name, undefined)
    }
  }

  /** Looks at every commit of every process, in order. */
  async function follow(): Promise<void> {
    do {
      woken = false
      const { revision } = await store.mark()
      while (seen < revision) {
        const next = revision - seen > lookedAtMax ? revision : seen + 1
        for await (const version of versionsBetween(store, seen, next)) written(version)
        seen = next
      }
    } while (woken)
  }

  function wake(): void {
    woken = true
    following ??= follow()
      .catch((thrown: unknown) => {
        // What is pruned already has no history to tell of. Everything else is tried again at the next mark.
        if (thrown instanceof HorizonError) seen = thrown.horizon
        else log.error({ err: thrown }, 'cannot read what was written: the trail of zones waits')
      })
      .finally(() => {
        following = undefined
        if (woken) wake()
      })
  }

  function written({ key, state, revision }: Version): void {
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
        const known = await notesOf(new Set(entries.map(([name]) => parseNote(name).revision)))
        const notes = entries.map(([name, times]) => {
          return { name, value: times && noteFrom(earliest(timesFrom(known.get(name) ?? {}), times)) }
        })
        if (notes.length > 0) await store.notes.put(notes)
      } catch (thrown) {
        log.error({ err: thrown }, 'cannot write down which zones have which revisions')
        // Tried again with the next ones; newer values stay.
        for (const [name, times] of entries) if (!dirty.has(name)) dirty.set(name, times)
      }
    })
    return flushing
  }

  async function notesOf(wanted: ReadonlySet<number>): Promise<ReadonlyMap<string, JsonObject>> {
    const pages = [...wanted].map(async (revision) => [...(await store.notes.read(prefixOf(revision)))])
    return new Map((await Promise.all(pages)).flat())
  }

  function track(revision: number): void {
    if (revision <= (revisions.at(-1) ?? 0)) return
    revisions.push(revision)
    const dropped = revisions.length > revisionsMax ? revisions.shift() : undefined
    for (const [name, zone] of zones) {
      if (dropped !== undefined && zone.timesByRevision.delete(dropped)) mark(prefixOf(dropped) + name, undefined)
      // The word of a zone may have been faster than the commit's way to us.
      note(name, zone, { stored: revision - 1, served: revision - 1 })
    }
  }

  /** Notes what a zone has told of the revisions above those that were looked at before. */
  function note(name: string, zone: Zone, lookedAt: { readonly stored: number; readonly served: number }): void {
    const atMs = clock.wallMs()
    for (const level of levels) {
      for (let index = revisions.length - 1; index >= 0; index -= 1) {
        const revision = revisions[index] ?? 0
        if (revision <= lookedAt[level]) break
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
    told({ zone: name, stored, served }) {
      const zone = zones.get(name)
      if (!zone) return
      const { stored: storedBefore, served: servedBefore } = zone
      zone.stored = stored
      zone.served = served
      if (stored > storedBefore || served > servedBefore)
        note(name, zone, { stored: storedBefore, served: servedBefore })
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

/** Own rows bear the revision of the commit that wrote them. What was deleted since is known by its notes alone. */
async function writtenByPeople(store: Store): Promise<readonly number[]> {
  const head = (await store.head()).revision
  const rows = await store.scan({ origin: globalOrigin })
  const revisions = rows.filter(({ key }) => isPublic(key.kind)).map(({ stamp }) => stamp.originRevision)
  // Rows that came back from a zone, after a loss, bear revisions of the store that was lost.
  return revisions.filter((revision) => revision <= head)
}

/** `trail/12/east` */
function parseNote(name: string): { readonly revision: number; readonly zone: string } {
  const [, revision = '', zone = ''] = name.split('/')
  return { revision: Number(revision), zone }
}

const toldNote = ({ atMs, revision }: Told): JsonObject => ({ atMs, revision })

const noteFrom = ({ stored, served }: Times): JsonObject => ({
  ...(stored ? { stored: toldNote(stored) } : {}),
  ...(served ? { served: toldNote(served) } : {}),
})

function earliest(a: Times, b: Times): Times {
  const first = (one: Told | undefined, other: Told | undefined) =>
    one && other ? (other.atMs < one.atMs ? other : one) : (one ?? other)
  const [stored, served] = [first(a.stored, b.stored), first(a.served, b.served)]
  return { ...(stored ? { stored } : {}), ...(served ? { served } : {}) }
}

/** Tolerant: a note of another version of this program costs a time that people see, and nothing else. */
function timesFrom(value: JsonObject): Times {
  const [stored, served] = levels.map((level) => toldFrom(value[level]))
  return { ...(stored ? { stored } : {}), ...(served ? { served } : {}) }
}

function toldFrom(value: Json | undefined): Told | undefined {
  if (value === null || value === undefined || typeof value !== 'object' || !('atMs' in value)) return undefined
  const { atMs, revision } = value
  return typeof atMs === 'number' && typeof revision === 'number' ? { atMs, revision } : undefined
}
