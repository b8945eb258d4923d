import { canonicalJson, shortHash, toJson } from '@zonemesh/shared/base/base.ts'
import type { Clock } from '@zonemesh/shared/env/clock.ts'
import type { Notes } from '@zonemesh/shared/store/store.ts'
import { zoneReplicaPrefix } from '@zonemesh/shared/sync/replicas.ts'
import type { ReplicaProxy, ReplicaState } from './replica.ts'

const pagePrefix = 'zone-proxies/'
export const pageName = (instance: string, page: string): string => `${pagePrefix}${instance}/${page}`
/** Proxies are published in pages, so that a change of one does not write all of them. */
const pages = 32
const pageOf = (proxy: string): string => String(Number.parseInt(shortHash(proxy).slice(0, 8), 16) % pages)

/** How often changes of proxies are published at most. */
const pagesEveryMs = 1_000
/** How often a replica publishes without a change. */
const beatEveryMs = 1_000

/** What a replica publishes. Its proxies are in notes of their own. */
export interface Note {
  readonly beat: number
  readonly state: ReplicaState
  /** How often each page was written. */
  readonly pages: Readonly<Record<string, number>>
}

export interface PageNote {
  readonly proxies: Readonly<Record<string, ReplicaProxy>>
}

export interface Sources {
  /** What this process knows, read for each publication. */
  state(): ReplicaState
  /** The proxies that have, or had, a stream with this process. Read after they have changed. */
  proxies(): ReadonlyMap<string, ReplicaProxy>
}

/** Publishes what this process knows, in notes of the shared store. */
export function createPublication(
  { notes, clock }: { readonly notes: Notes; readonly clock: Pick<Clock, 'monotonicMs'> },
  instance: string,
  sources: Sources,
) {
  const written = new Map<string, { readonly text: string; readonly count: number }>()
  let beat = 0
  let beatAtMs = Number.NEGATIVE_INFINITY
  let lastText = ''
  let proxiesChanged = true
  let pagesAtMs = Number.NEGATIVE_INFINITY

  /** The pages whose content is not the published one. A page counts as published before its note is stored. */
  function changedPages(nowMs: number) {
    proxiesChanged = false
    pagesAtMs = nowMs
    const byPage = new Map<string, Record<string, ReplicaProxy>>([...written.keys()].map((page) => [page, {}]))
    for (const [proxy, value] of sources.proxies()) {
      const page = pageOf(proxy)
      const content = byPage.get(page) ?? {}
      content[proxy] = value
      byPage.set(page, content)
    }
    return [...byPage].flatMap(([page, proxies]) => {
      const value = toJson({ proxies })
      const text = canonicalJson(value)
      const before = written.get(page)
      if (before?.text === text) return []
      written.set(page, { text, count: (before?.count ?? 0) + 1 })
      return [{ name: pageName(instance, page), value }]
    })
  }

  return {
    proxiesChanged(): void {
      proxiesChanged = true
    },
    /** Publishes what has changed, or a beat if nothing has for a while. */
    async publish(): Promise<void> {
      const nowMs = clock.monotonicMs()
      const entries = proxiesChanged && nowMs - pagesAtMs >= pagesEveryMs ? changedPages(nowMs) : []
      const state = sources.state()
      const text = canonicalJson(toJson(state))
      if (text === lastText && entries.length === 0 && nowMs - beatAtMs < beatEveryMs) return
      beat += 1
      const counts = Object.fromEntries([...written].map(([page, { count }]) => [page, count]))
      const note = { name: zoneReplicaPrefix + instance, value: toJson({ beat, state, pages: counts }) }
      await notes.put([...entries, note], text === lastText ? {} : { wake: true })
      lastText = text
      beatAtMs = nowMs
    },
    /** It is unknown what was stored, so the next publication writes everything again, with new counts. */
    forget(): void {
      for (const [page, { count }] of written) written.set(page, { text: '', count })
      proxiesChanged = true
      pagesAtMs = Number.NEGATIVE_INFINITY
    },
  }
}

/** Removes what a process has published. */
export async function removePublication(notes: Notes, instance: string): Promise<void> {
  const names = [...(await notes.read(pageName(instance, ''))).keys(), zoneReplicaPrefix + instance]
  await notes.put(names.map((name) => ({ name, value: undefined })))
}
