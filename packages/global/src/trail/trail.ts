import { findKind } from '@zonemesh/core/registry.ts'
import type { Told, Trail, ZoneTimes } from '@zonemesh/plane/history/versions.ts'
import { byCodeUnit, type Json, type JsonObject } from '@zonemesh/shared/base/base.ts'
import type { Clock } from '@zonemesh/shared/env/clock.ts'
import type { Log } from '@zonemesh/shared/env/log.ts'
import { globalOrigin } from '@zonemesh/shared/resource/resource.ts'
import type { Store, Version } from '@zonemesh/shared/store/store.ts'
import type { ZoneStatus } from '@zonemesh/shared/sync/zone-status.ts'

interface Deps {
  readonly store: Store
  readonly clock: Clock
  readonly log: Log
}

/** Follows which zone stored and served what people wrote, and since when. */
export interface TrailKeeper extends AsyncDisposable {
  /** What a commit has written. */
  committed(versions: readonly Version[]): void
  /** What a zone says that it has, in revisions of this store. */
  told(status: Pick<ZoneStatus, 'zone' | 'stored' | 'served'>): void
  readonly timesOf: Trail
}

/** Limit: the newest 500 revisions that people wrote, of each zone that there is. */
const revisionsMax = 500
const flushEveryMs = 1_000

interface Zone {
  stored: number
  served: number
  readonly timesByRevision: Map<number, Omit<ZoneTimes, 'zone'>>
}

const levels = ['stored', 'served'] as const
const noteName = (zone: string, revision: number): string => `trail/${zone}/${revision}`

/**
 * Writes notes, not commits: what zones tell of a revision must not make revisions. A note is written once the second is over,
 * so that a crash costs the times of that second and nothing else; the next word of the zone gives later ones.
 */
export async function openTrail({ store, clock, log }: Deps): Promise<TrailKeeper> {
  /** Ascending. */
  let revisions: number[] = []
  const zones = new Map<string, Zone>()
  let dirty = new Map<string, JsonObject | undefined>()
  let timer: Disposable | undefined
  let flushing = Promise.resolve()

  async function load(): Promise<void> {
    for (const row of await store.scan({ kind: 'Zone', origin: globalOrigin })) zones.set(row.key.name, blank())
    const notes = await store.notes.read('trail/')
    const named = [...notes].map(([name, value]) => {
      const [, zone = '', revision = ''] = name.split('/')
      return { name, zone, revision: Number(revision), value }
    })
    for (const revision of new Set([...(await writtenByPeople(store)), ...named.map((note) => note.revision)]))
      revisions.push(revision)
    revisions = revisions.sort((a, b) => a - b).slice(-revisionsMax)
    const kept = new Set(revisions)
    for (const { name, zone, revision, value } of named) {
      const known = zones.get(zone)
      if (known && kept.has(revision)) known.timesByRevision.set(revision, timesFrom(value))
      else mark(name, undefined)
    }
  }

  function mark(name: string, value: JsonObject | undefined): void {
    dirty.set(name, value)
    timer ??= clock.after(flushEveryMs, () => {
      timer = undefined
      void flush()
    })
  }

  function flush(): Promise<void> {
    const entries = [...dirty].map(([name, value]) => ({ name, value }))
    dirty = new Map()
    flushing = flushing.then(async () => {
      try {
        if (entries.length > 0) await store.notes.put(entries)
      } catch (thrown) {
        log.error({ err: thrown }, 'cannot write down which zones have which revisions')
        // Tried again with the next ones; newer values stay.
        for (const { name, value } of entries) if (!dirty.has(name)) dirty.set(name, value)
      }
    })
    return flushing
  }

  function track(revision: number): void {
    if (revision <= (revisions.at(-1) ?? 0)) return
    revisions.push(revision)
    const dropped = revisions.length > revisionsMax ? revisions.shift() : undefined
    for (const [name, zone] of zones) {
      if (dropped !== undefined && zone.timesByRevision.delete(dropped)) mark(noteName(name, dropped), undefined)
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
        mark(noteName(name, revision), noteFrom(next))
      }
    }
  }

  function drop(name: string): void {
    for (const revision of zones.get(name)?.timesByRevision.keys() ?? []) mark(noteName(name, revision), undefined)
    zones.delete(name)
  }

  await load()
  return {
    committed(versions) {
      const own = versions.filter(({ key }) => key.origin === globalOrigin)
      for (const { key, state } of own) {
        if (key.kind !== 'Zone') continue
        if (state === 'live') zones.set(key.name, zones.get(key.name) ?? blank())
        else drop(key.name)
      }
      const [first] = own.filter(({ key }) => isPublic(key.kind))
      if (first) track(first.revision)
    },
    told({ zone: name, stored, served }) {
      const zone = zones.get(name)
      if (!zone) return
      const { stored: storedBefore, served: servedBefore } = zone
      zone.stored = stored
      zone.served = served
      if (stored > storedBefore || served > servedBefore)
        note(name, zone, { stored: storedBefore, served: servedBefore })
    },
    timesOf: (revision) =>
      [...zones]
        .flatMap(([zone, { timesByRevision }]): ZoneTimes[] => {
          const times = timesByRevision.get(revision)
          return times ? [{ zone, ...times }] : []
        })
        .sort((a, b) => byCodeUnit(a.zone, b.zone)),
    async [Symbol.asyncDispose]() {
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

const toldNote = ({ atMs, revision }: Told): JsonObject => ({ atMs, revision })

const noteFrom = ({ stored, served }: Omit<ZoneTimes, 'zone'>): JsonObject => ({
  ...(stored ? { stored: toldNote(stored) } : {}),
  ...(served ? { served: toldNote(served) } : {}),
})

/** Tolerant: a note of another version of this program costs a time that people see, and nothing else. */
function timesFrom(value: JsonObject): Omit<ZoneTimes, 'zone'> {
  const [stored, served] = levels.map((level) => toldFrom(value[level]))
  return { ...(stored ? { stored } : {}), ...(served ? { served } : {}) }
}

function toldFrom(value: Json | undefined): Told | undefined {
  if (value === null || value === undefined || typeof value !== 'object' || !('atMs' in value)) return undefined
  const { atMs, revision } = value
  return typeof atMs === 'number' && typeof revision === 'number' ? { atMs, revision } : undefined
}
