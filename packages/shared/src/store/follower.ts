import { keyText, parseKeyText } from '../resource/resource.ts'
import { changesAfter, stateAt } from './state.ts'
import type { Store, Version } from './store.ts'

/**
 * Reads what has changed in a store since the last read. If the log is pruned, it reads the whole state, and reports the
 * keys that are gone as forgotten.
 */
export function createFollower(store: Store) {
  let read = 0
  /** The texts of the keys of all live rows that were read. */
  const live = new Set<string>()

  function take(versions: readonly Version[], revision: number): void {
    for (const { key, state } of versions) {
      if (state === 'live') live.add(keyText(key))
      else live.delete(keyText(key))
    }
    read = revision
  }

  return {
    /** Everything up to this revision was read. */
    revision: (): number => read,
    /** Takes in what the caller has written itself, in the commit after the last read. */
    take,
    /** Reads up to this revision. Returns the newest version of each key that has changed. */
    async readTo(revision: number): Promise<readonly Version[]> {
      const changes = read > 0 ? await changesAfter(store, read, revision) : undefined
      const versions = changes ?? (await wholeState(store, live, revision))
      take(versions, revision)
      return versions
    },
  }
}
export type Follower = ReturnType<typeof createFollower>

async function wholeState(store: Store, live: ReadonlySet<string>, revision: number): Promise<readonly Version[]> {
  const versions: Version[] = []
  for await (const page of stateAt(store, revision)) versions.push(...page)
  const found = new Set(versions.map(({ key }) => keyText(key)))
  const gone = [...live].filter((text) => !found.has(text)).map((text) => forgotten(text, revision))
  return [...versions, ...gone]
}

const forgotten = (text: string, revision: number): Version => ({
  key: parseKeyText(text),
  revision,
  state: 'forgotten',
  stamp: { incarnation: 0, originRevision: 0, createdAtMs: 0, modifiedAtMs: 0 },
})
