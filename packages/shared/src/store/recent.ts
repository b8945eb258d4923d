import { byCodeUnit } from '../base/base.ts'
import { keyText } from '../resource/resource.ts'
import type { Store, Version } from './store.ts'
import { resumeFrom } from './stored.ts'

interface Entry {
  readonly text: string
  readonly version: Version
  /** The next revision of the same key; none so far: infinity. */
  supersededAt: number
}

interface Commit {
  readonly revision: number
  /** By key text. */
  readonly entries: readonly Entry[]
  readonly weight: number
}

type Page = Awaited<ReturnType<Store['changesSince']>>

/** What a reader who follows closely may be behind. Beyond it he reads the file. */
const recentWeightMax = 2 * 1024 * 1024
/** About what a version takes beside its content. */
const versionWeight = 512
/** Of texts like these the order is the same here and in the file. */
const isPlain = (text: string) => /^[\x20-\x7e]*$/.test(text)

/**
 * The versions of the newest commits as they were written: those who follow closely read them without the file, and share the
 * objects and whatever was made of them. Limit: 2 MiB of content, the oldest commits are dropped.
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
    /** The next commit, once it is durable. `contentBytes`: of its labels and specs. */
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
    /** As `Store.changesSince`; undefined where the log here does not reach back so far. */
    changesSince(
      after: number,
      through: number,
      { limit, resume, origin }: { readonly limit: number; readonly resume?: string; readonly origin?: string },
    ): Page | undefined {
      if (after < head) return undefined
      const [fromRevision, fromText] = resumeFrom(after, resume)
      const prefix = origin === undefined ? '' : `${origin}/`
      const versions: Version[] = []
      // Each revision is one commit, so the first one wanted is found by its number.
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
