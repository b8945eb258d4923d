import { assert } from '../base/base.ts'
import { changesPerCommitMax } from './plan.ts'
import type { Commit, CommitOutcome } from './store.ts'

interface Waiting {
  readonly commit: Commit
  readonly resolve: (outcome: CommitOutcome) => void
  readonly reject: (cause: unknown) => void
}

export interface Transacted {
  /** One for each commit, in their order. */
  readonly outcomes: readonly CommitOutcome[]
  readonly newMark: boolean
}

/**
 * Collects the commits of one turn, so that they share one transaction in the order of their calls, and nobody else's commit
 * comes between. Those that come while a transaction runs make the next one. Limit: none of its own; callers wait for their
 * commit, so there are as many as callers.
 */
export function createCommitGroup(
  schedule: (run: () => void) => void,
  transact: (commits: readonly Commit[]) => Promise<Transacted>,
) {
  const listeners = new Set<() => void>()
  let waiting: Waiting[] = []
  let running: Promise<void> | undefined

  async function drain(): Promise<void> {
    while (waiting.length > 0) {
      const group = waiting
      waiting = []
      await runGroup(group)
    }
    running = undefined
  }

  async function runGroup(group: readonly Waiting[]): Promise<void> {
    let wake = false
    try {
      const { outcomes, newMark } = await transact(group.map((entry) => entry.commit))
      group.forEach((entry, index) => {
        const outcome = outcomes[index]
        assert(outcome, 'a commit of the group has no outcome')
        entry.resolve(outcome)
      })
      wake = newMark
    } catch (cause) {
      for (const entry of group) entry.reject(cause)
    }
    if (wake) wakeAll()
  }

  function wakeAll(): void {
    for (const listener of [...listeners]) listener()
  }

  /** What waited may have gone along with a task of `alone`: a drain of nothing would be over before it counts as running. */
  function start(): void {
    if (waiting.length > 0) running ??= drain()
  }

  return {
    add(commit: Commit): Promise<CommitOutcome> {
      const { length } = commit.changes
      assert(length <= changesPerCommitMax, `a commit has ${length} changes, more than ${changesPerCommitMax}`)
      return new Promise((resolve, reject) => {
        waiting.push({ commit, resolve, reject })
        if (waiting.length === 1 && !running) schedule(start)
      })
    },
    /** Runs between two transactions. */
    async alone(task: () => Promise<void>): Promise<void> {
      while (running) await running
      const work = task()
      const ended = () => undefined
      running = work.then(ended, ended).then(drain)
      await work
    },
    onMark(listener: () => void): Disposable {
      listeners.add(listener)
      return { [Symbol.dispose]: () => void listeners.delete(listener) }
    },
    /** Somebody else has made a mark, or may have. */
    wake: wakeAll,
    /** Ends when what waits now is done, and wakes nobody from then on. */
    async close(): Promise<void> {
      start()
      await running
      listeners.clear()
    },
  }
}

/** A random 64-bit name of a commit: two histories that went apart have no position in common. */
export const commitIdFrom = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
