import type { Commit, CommitOutcome, Store, Version } from '@zonemesh/shared/store/store.ts'

/** The same store with another way to commit. All else goes to the store behind it. */
export function withCommit(store: Store, commit: (input: Commit) => Promise<CommitOutcome>): Store {
  return {
    id: store.id,
    get incarnation() {
      return store.incarnation
    },
    notes: store.notes,
    raiseIncarnation: (atLeast) => store.raiseIncarnation(atLeast),
    head: () => store.head(),
    mark: () => store.mark(),
    commit,
    get: (key) => store.get(key),
    scan: (selection, options) => store.scan(selection, options),
    changesSince: (after, through, options) => store.changesSince(after, through, options),
    history: (key) => store.history(key),
    records: (options) => store.records(options),
    standing: (position) => store.standing(position),
    onMark: (listener) => store.onMark(listener),
    close: () => store.close(),
  }
}

/** Tells what each commit has written, whoever made it: followers of a kind need not look at every mark. */
export const observeCommits = (store: Store, written: (versions: readonly Version[]) => void): Store =>
  withCommit(store, async (input) => {
    const outcome = await store.commit(input)
    if (outcome.ok) written(outcome.written)
    return outcome
  })
