import { assert } from '../base/base.ts'
import { changesPerCommitMax } from './plan.ts'
import type { Commit, CommitOutcome } from './store.ts'

interface Waiting {
  readonly commit: Commit
  readonly resolve: (outcome: CommitOutcome) => void
  readonly reject: (cause: unknown) => void
}

/**
 * Collects the commits of one turn, so that they share one transaction in the order of their calls, and nobody else's commit
 * comes between. Limit: none of its own; callers wait for their commit, so there are as many as callers.
 */
export function createCommitGroup(
  schedule: (run: () => void) => void,
  transact: (commits: readonly Commit[]) => { readonly outcomes: readonly CommitOutcome[]; readonly newMark: boolean },
) {
  const listeners = new Set<() => void>()
  let waiting: Waiting[] = []
  const flush = () => {
    const group = waiting
    waiting = []
    let wake = false
    try {
      const { outcomes, newMark } = transact(group.map((entry) => entry.commit))
      group.forEach((entry, index) => {
        const outcome = outcomes[index]
        assert(outcome, 'a commit of the group has no outcome')
        entry.resolve(outcome)
      })
      wake = newMark
    } catch (cause) {
      for (const entry of group) entry.reject(cause)
    }
    if (wake) for (const listener of [...listeners]) listener()
  }
  return {
    add(commit: Commit): Promise<CommitOutcome> {
      assert(
        commit.changes.length <= changesPerCommitMax,
        `a commit has ${commit.changes.length} changes, more than ${changesPerCommitMax}`,
      )
      return new Promise((resolve, reject) => {
        waiting.push({ commit, resolve, reject })
        if (waiting.length === 1) schedule(flush)
      })
    },
    onMark(listener: () => void): Disposable {
      listeners.add(listener)
      return { [Symbol.dispose]: () => void listeners.delete(listener) }
    },
    /** Runs what waits now, and wakes nobody from then on. */
    close() {
      if (waiting.length > 0) flush()
      listeners.clear()
    },
  }
}

/** A random 64-bit name of a commit: two histories that went apart have no position in common. */
export const commitIdFrom = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
