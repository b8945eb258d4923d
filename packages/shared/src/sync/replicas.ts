import { type JsonObject, toJson } from '../base/base.ts'
import type { Clock } from '../env/clock.ts'
import type { Store } from '../store/store.ts'
import { blank, type KnownZone, type ZoneStatus } from './zone-status.ts'

interface Deps {
  readonly store: Store
  readonly clock: Clock
  /** The name of this process. No process that uses the store ever reuses it. */
  readonly instance: string
}

/** Other replicas show a change of a zone's status after at most two of these intervals, also if a wake-up is lost. */
export const exchangeEveryMs = 250
/** Changes and wake-ups within this time share an exchange. */
export const gatherMs = 50
/** How often a replica publishes without a change: the interval of its zones' bookmarks. */
const beatEveryMs = 2_000
/** A replica without a beat for this long counts as gone, and its statuses are dropped. */
const silentMs = 10_000
const prefix = 'replica/'
const reportPrefix = 'replica-report/'
/** The notes of the replicas of a zone. */
export const zoneReplicaPrefix = 'zone-replica/'

/** What a replica publishes of a zone if it had the newest known session of the zone. */
export interface PublishedZone extends KnownZone {
  /**
   * The revision of the global from which on it has everything up to the zone's newest mark in this session. Undefined
   * before.
   */
  readonly completeAt: number | undefined
}

/** A published zone, as the other replicas read it. */
export interface RemoteZone {
  /** The replica that has its session. */
  readonly replica: string
  /** The same object until a newer status is read. */
  readonly status: ZoneStatus
  readonly completeAt: number | undefined
  /** Monotonic clock of the reader: the zone's last bookmark arrived at this time or later. */
  readonly bookmarkAtMs: number
}

/** One zone in the note of a replica. Reports are large and change rarely, so each report has a note of its own. */
interface ZoneNote {
  readonly status: ZoneStatus
  readonly completeAt?: number | undefined
  readonly bookmarkAgoMs: number
  /** How often the note of the report was written. */
  readonly reports: number
}

interface CountedReport {
  readonly count: number
  readonly report: ZoneStatus['report']
}

interface Peer {
  beat: number
  /** When this process found the newest beat. */
  sinceMs: number
  /** Empty until its beat has changed since this process first read it. */
  zones: ReadonlyMap<string, RemoteZone>
  readonly reports: Map<string, CountedReport>
}

/**
 * Exchanges the statuses of zones between the processes of one global. Each process writes notes to the shared store;
 * they are state and never enter the log. The statuses of a replica count only while its beat changes, so a note from
 * before this process started does not count until its next beat.
 */
export function createReplicas({ store, clock, instance }: Deps) {
  const peers = new Map<string, Peer>()
  /** The report of each zone that was written last. */
  let published: ReadonlyMap<string, CountedReport> = new Map()
  let beat = 0
  let beatMs = Number.NEGATIVE_INFINITY
  let lastText = ''
  let collectedMs = clock.monotonicMs()

  async function publish(zones: ReadonlyMap<string, PublishedZone>): Promise<void> {
    const changed = [...zones].filter(([zone, { status }]) => published.get(zone)?.report !== status.report)
    const text = JSON.stringify([...zones].map(([zone, { status, completeAt }]) => [zone, completeAt, steady(status)]))
    const nowMs = clock.monotonicMs()
    if (text === lastText && changed.length === 0 && nowMs - beatMs < beatEveryMs) return
    beat += 1
    const reports = new Map(published)
    for (const [zone, { status }] of changed)
      reports.set(zone, { count: (published.get(zone)?.count ?? 0) + 1, report: status.report })
    const notes = [...zones].map(([zone, { status, completeAt, bookmarkAtMs }]): [string, ZoneNote] => {
      const count = reports.get(zone)?.count ?? 0
      return [
        zone,
        { status: { ...status, report: {} }, completeAt, bookmarkAgoMs: nowMs - bookmarkAtMs, reports: count },
      ]
    })
    // A status contains only JSON values. An infinite age becomes null.
    const value = { beat, zones: toJson(Object.fromEntries(notes)) }
    const reportNotes = changed.map(
      ([
        zone,
        {
          status: { report },
        },
      ]) => ({
        name: reportName(instance, zone),
        value: { report },
      }),
    )
    const isNews = text !== lastText || changed.length > 0
    await store.notes.put([...reportNotes, { name: prefix + instance, value }], isNews ? { wake: true } : {})
    published = reports
    lastText = text
    beatMs = nowMs
  }

  async function readZones(name: string, peer: Peer, value: JsonObject): Promise<ReadonlyMap<string, RemoteZone>> {
    const zones = new Map<string, RemoteZone>()
    // `publish` of another process has written this note.
    for (const [zone, note] of Object.entries(value['zones'] as unknown as Record<string, ZoneNote>)) {
      // The note was written after the last `collect`, so the age counts from that time at the earliest.
      const bookmarkAtMs = collectedMs - (note.bookmarkAgoMs ?? Number.POSITIVE_INFINITY)
      const report = await readReport(name, peer, zone, note.reports)
      // An older build leaves out the fields that it does not have.
      const status = { ...blank(zone), ...note.status, report }
      zones.set(zone, { replica: name, status, completeAt: note.completeAt, bookmarkAtMs })
    }
    return zones
  }

  async function readReport(name: string, peer: Peer, zone: string, count: number): Promise<ZoneStatus['report']> {
    const known = peer.reports.get(zone)
    if (known?.count === count) return known.report
    const value = (await store.notes.read(reportName(name, zone))).get(reportName(name, zone))
    // `publish` of another process has written this note.
    const report = (value?.['report'] ?? {}) as ZoneStatus['report']
    peer.reports.set(zone, { count, report })
    return report
  }

  async function remove(names: readonly string[]): Promise<void> {
    const notes: { readonly name: string; readonly value: undefined }[] = []
    for (const name of names) {
      notes.push({ name: prefix + name, value: undefined })
      for (const report of (await store.notes.read(reportName(name, ''))).keys())
        notes.push({ name: report, value: undefined })
    }
    if (notes.length > 0) await store.notes.put(notes)
  }

  return {
    publish,
    /** The zones of all other live replicas. If two of them publish a zone, the newer session counts. */
    async collect(): Promise<ReadonlyMap<string, RemoteZone>> {
      const nowMs = clock.monotonicMs()
      const found = new Map<string, RemoteZone>()
      const gone: string[] = []
      for (const [note, value] of await store.notes.read(prefix)) {
        const name = note.slice(prefix.length)
        if (name === instance) continue
        const now = Number(value['beat'])
        const known = peers.get(name)
        const peer = known ?? { beat: now, sinceMs: nowMs, zones: new Map(), reports: new Map() }
        peers.set(name, peer)
        if (peer.beat !== now) {
          peer.zones = await readZones(name, peer, value)
          Object.assign(peer, { beat: now, sinceMs: nowMs })
        }
        if (nowMs - peer.sinceMs > silentMs) gone.push(name)
        else for (const [zone, remote] of peer.zones) addNewest(found, zone, remote)
      }
      collectedMs = nowMs
      await remove(gone)
      for (const name of gone) peers.delete(name)
      return found
    },
    leave: (): Promise<void> => remove([instance]),
  }
}

/** The processes that use a shared store, including killed ones whose notes no other replica has removed yet. */
export async function replicaNames({ notes }: Pick<Store, 'notes'>): Promise<readonly string[]> {
  const named = async (start: string) => [...(await notes.read(start)).keys()].map((name) => name.slice(start.length))
  return [...(await named(prefix)), ...(await named(zoneReplicaPrefix))]
}

export type Replicas = ReturnType<typeof createReplicas>

const reportName = (instance: string, zone: string): string => `${reportPrefix}${instance}/${zone}`

/** The fields whose change is published at once: all except those that every bookmark changes. */
function steady({ lag, lagMs, current, counters, lastBookmarkAtMs, report, ...rest }: ZoneStatus) {
  return { ...rest, proxies: counters.proxies, proxiesConnected: counters.proxiesConnected }
}

function addNewest(found: Map<string, RemoteZone>, zone: string, remote: RemoteZone): void {
  if ((found.get(zone)?.status.epoch ?? -1) < remote.status.epoch) found.set(zone, remote)
}
