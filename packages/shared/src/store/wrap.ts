import type { Store, Version } from './store.ts'

/** A store with some calls of its own. All others go to the wrapped store. */
export const wrapStore = (store: Store, own: Partial<Omit<Store, 'incarnation'>>): Store => ({
  id: store.id,
  get incarnation() {
    return store.incarnation
  },
  notes: store.notes,
  raiseIncarnation: (atLeast) => store.raiseIncarnation(atLeast),
  fault: () => store.fault(),
  head: () => store.head(),
  mark: () => store.mark(),
  commitRound: (parts, options) => store.commitRound(parts, options),
  commit: (commit) => store.commit(commit),
  get: (key) => store.get(key),
  scan: (selection, options) => store.scan(selection, options),
  changesSince: (after, through, options) => store.changesSince(after, through, options),
  history: (key) => store.history(key),
  records: (options) => store.records(options),
  standing: (position) => store.standing(position),
  onMark: (listener) => store.onMark(listener),
  close: () => store.close(),
  ...own,
})

/** A store with another `commitRound`. A single commit is a round too, so every write passes through it. */
export const withRounds = (store: Store, commitRound: Store['commitRound']): Store =>
  wrapStore(store, { commitRound, commit: (commit) => commitRound([commit]) })

/** Calls back with the versions that each round has written, so that a follower of a kind need not read every mark. */
export const observeCommits = (store: Store, written: (versions: readonly Version[]) => void): Store =>
  withRounds(store, async (parts, options) => {
    const outcome = await store.commitRound(parts, options)
    if (outcome.ok) written(outcome.written)
    return outcome
  })
