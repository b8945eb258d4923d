import type { Store, Version } from '@zonemesh/shared/store/store.ts'

/**
 * The same store with another way to write a round. A single commit is a round too, so nothing is written past it. All else goes to
 * the store behind it.
 */
export function withRounds(store: Store, commitRound: Store['commitRound']): Store {
  return {
    id: store.id,
    get incarnation() {
      return store.incarnation
    },
    notes: store.notes,
    raiseIncarnation: (atLeast) => store.raiseIncarnation(atLeast),
    fault: () => store.fault(),
    head: () => store.head(),
    mark: () => store.mark(),
    commitRound,
    commit: (commit) => commitRound([commit]),
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

/** Tells what each round has written, whoever made it: followers of a kind need not look at every mark. */
export const observeCommits = (store: Store, written: (versions: readonly Version[]) => void): Store =>
  withRounds(store, async (parts, options) => {
    const outcome = await store.commitRound(parts, options)
    if (outcome.ok) written(outcome.written)
    return outcome
  })
