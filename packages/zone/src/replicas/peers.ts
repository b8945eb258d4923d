import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import type { Clock } from '@zonemesh/shared/env/clock.ts'
import type { Log } from '@zonemesh/shared/env/log.ts'
import type { Notes } from '@zonemesh/shared/store/store.ts'
import { zoneReplicaPrefix } from '@zonemesh/shared/sync/replicas.ts'
import { type Note, type PageNote, pageName, removePublication } from './publication.ts'
import type { OtherReplica } from './replica.ts'

/** A stream of a proxy with another replica was opened, or has ended. */
export interface RemoteStream {
  readonly proxy: string
  readonly instance: string
  readonly isOpen: boolean
  readonly isLeased: boolean
}

interface Peer {
  beat: number
  /** The monotonic time at which this process found the newest beat. */
  sinceMs: number
  /** Undefined until its beat has changed since this process first read it: the note may be of a dead process. */
  replica: OtherReplica | undefined
  readonly pages: Map<string, PageNote & { readonly count: number }>
}

/** A replica without a beat for this long is gone. Its proxies have found another replica by then. */
export const goneAfterMs = 3_000
/** A note that no process renews is removed after this time. */
const removeAfterMs = 60_000

const nobody: OtherReplica['proxies'] = new Map()

/** Reads what the other processes have published. It counts only while their beats change. */
export function createPeers(
  { notes, clock, log }: { readonly notes: Notes; readonly clock: Pick<Clock, 'monotonicMs'>; readonly log: Log },
  instance: string,
  onStream: (stream: RemoteStream) => void,
) {
  const peers = new Map<string, Peer>()

  async function read(other: string, value: JsonObject, nowMs: number): Promise<boolean> {
    // `publish` of another process has written this note.
    const note = value as unknown as Note
    const known = peers.get(other)
    const peer: Peer = known ?? { beat: note.beat, sinceMs: nowMs, replica: undefined, pages: new Map() }
    peers.set(other, peer)
    if (peer.beat === note.beat) return false
    await readPages(notes, other, note, peer.pages)
    const proxies = new Map([...peer.pages.values()].flatMap((page) => Object.entries(page.proxies)))
    follow(peer, { ...note.state, instance: other, proxies })
    peer.beat = note.beat
    peer.sinceMs = nowMs
    return true
  }

  /** Keeps what a replica has published, and reports which streams have opened and ended there. */
  function follow(peer: Peer, next: OtherReplica): void {
    const before = peer.replica?.proxies ?? nobody
    peer.replica = next
    for (const stream of streamsBetween(before, next)) onStream(stream)
  }

  /** The replica is gone, and with it the streams of its proxies. Returns true if this is new. */
  function loseSilent(other: string, peer: Peer, nowMs: number): boolean {
    if (nowMs - peer.sinceMs <= goneAfterMs || !peer.replica || peer.replica.proxies === nobody) return false
    log.warn({ replica: other }, 'another replica of this zone is gone: its proxies find another one')
    follow(peer, { ...peer.replica, proxies: nobody })
    return true
  }

  return {
    /** Reads the notes of the others. Returns true if something of them is new. */
    async collect(): Promise<boolean> {
      const nowMs = clock.monotonicMs()
      let isNew = false
      for (const [name, value] of await notes.read(zoneReplicaPrefix)) {
        const other = name.slice(zoneReplicaPrefix.length)
        if (other === instance) continue
        isNew = (await read(other, value, nowMs)) || isNew
      }
      for (const [other, peer] of peers) {
        isNew = loseSilent(other, peer, nowMs) || isNew
        if (nowMs - peer.sinceMs <= removeAfterMs) continue
        await removePublication(notes, other)
        peers.delete(other)
      }
      return isNew
    },
    /** The replicas with a beat within this time. */
    within: (ms: number): readonly OtherReplica[] =>
      [...peers.values()].flatMap(({ replica, sinceMs }) =>
        replica && clock.monotonicMs() - sinceMs <= ms ? [replica] : [],
      ),
  }
}

/** Reads the pages that were written since they were read last. */
async function readPages(notes: Notes, other: string, note: Note, known: Peer['pages']): Promise<void> {
  for (const [page, count] of Object.entries(note.pages)) {
    if (known.get(page)?.count === count) continue
    const name = pageName(other, page)
    // `publish` of another process has written this note.
    const content = (await notes.read(name)).get(name) as unknown as PageNote | undefined
    known.set(page, { count, proxies: content?.proxies ?? {} })
  }
}

/** The streams that a replica has opened since, and those that have ended there. */
function streamsBetween(before: OtherReplica['proxies'], { instance, proxies }: OtherReplica): readonly RemoteStream[] {
  const isOpen = (known: OtherReplica['proxies'], proxy: string) => known.get(proxy)?.isConnected === true
  const all = new Set([...before.keys(), ...proxies.keys()])
  return [...all].flatMap((proxy) => {
    if (isOpen(before, proxy) === isOpen(proxies, proxy)) return []
    const isLeased = (proxies.get(proxy) ?? before.get(proxy))?.isLeased === true
    return [{ proxy, instance, isOpen: isOpen(proxies, proxy), isLeased }]
  })
}
