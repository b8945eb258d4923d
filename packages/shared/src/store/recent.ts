import { byCodeUnit } from '../base/base.ts'
import { keyText } from '../resource/resource.ts'
import type { Store, Version } from './store.ts'
import { resumeFrom } from './stored.ts'

interface Entry {
  readonly text: string
  readonly version: Version
  /** The next revision of the same key; infinity if there is none yet. */
  supersededAt: number
}

interface Commit {
  readonly revision: number
  /** By key text. */
  readonly entries: readonly Entry[]
  readonly weight: number
}

type Page = Awaited<ReturnType<Store['changesSince']>>

/** How much content is kept. A reader that is further behind reads the file. */
const recentWeightMax = 2 * 1024 * 1024
/** About how many bytes a version takes in addition to its content. */
const versionWeight = 512
/** JavaScript and SQLite sort such texts in the same order. */
const isPlain = (text: string) => /^[\x20-\x7e]*$/.test(text)

/**
 * A cache of the versions of the newest commits. Readers that are nearly up to date read them without the file, and
 * share the objects and everything derived from them. Limit: 2 MiB of content, the oldest commits are dropped.
 */
export function createRecent(head: number, weightMax = recentWeightMax) {
  const commits: Commit[] = []
  const newestByText = new Map<string, Entry>()
  let weight = 0

  function dropOldest(): void {
    const oldest = commits.shift()
    if (!oldest) return
    head = oldest.revision
    weight -= oldest.weight
    for (const entry of oldest.entries) if (newestByText.get(entry.text) === entry) newestByText.delete(entry.text)
  }

  return {
    /** Adds the next commit once it is durable. `contentBytes` is the size of its labels and specs. */
    add(revision: number, versions: readonly Version[], contentBytes: number): void {
      const entries = versions.map(
        (version): Entry => ({ text: keyText(version.key), version, supersededAt: Number.POSITIVE_INFINITY }),
      )
      for (const entry of entries) {
        const former = newestByText.get(entry.text)
        if (former) former.supersededAt = revision
        newestByText.set(entry.text, entry)
      }
      entries.sort((a, b) => byCodeUnit(a.text, b.text))
      const commit = { revision, entries, weight: contentBytes + entries.length * versionWeight }
      weight += commit.weight
      commits.push(commit)
      const kept = entries.every(({ text }) => isPlain(text)) ? weightMax : 0
      while (weight > kept) dropOldest()
    },
    /** Like `Store.changesSince`; undefined if the cache does not reach back that far. */
    changesSince(
      after: number,
      through: number,
      { limit, resume, origin }: { readonly limit: number; readonly resume?: string; readonly origin?: string },
    ): Page | undefined {
      if (after < head) return undefined
      const [fromRevision, fromText] = resumeFrom(after, resume)
      const prefix = origin === undefined ? '' : `${origin}/`
      const versions: Version[] = []
      // Each revision is one commit, so the index of the first commit follows from its revision.
      for (let index = fromRevision - head - 1; index < commits.length; index += 1) {
        const commit = commits[index]
        if (!commit) continue
        if (commit.revision > through) break
        for (const { text, version, supersededAt } of commit.entries) {
          if (supersededAt <= through || !text.startsWith(prefix)) continue
          if (commit.revision === fromRevision && text <= fromText) continue
          versions.push(version)
          if (versions.length === limit) return { versions, next: `${commit.revision}/${text}` }
        }
      }
      return { versions }
    },
  }
}
