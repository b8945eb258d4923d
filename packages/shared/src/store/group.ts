import { assert } from '../base/base.ts'
import { createListeners } from '../base/listeners.ts'
import { changesPerCommitMax } from './plan.ts'
import type { Commit, CommitOutcome, RoundOptions } from './store.ts'

/** A round that waits for its transaction. */
export interface Round extends RoundOptions {
  readonly parts: readonly Commit[]
}

interface Waiting {
  readonly round: Round
  readonly resolve: (outcome: CommitOutcome) => void
  readonly reject: (cause: unknown) => void
}

export interface Transacted {
  /** One outcome for each round, in order. */
  readonly outcomes: readonly CommitOutcome[]
  readonly newMark: boolean
}

/**
 * Collects the rounds of one turn, so that they share one transaction in the order of their calls. Rounds that arrive
 * while a transaction runs share the next one. There is no limit here: each caller waits for its round, so the callers
 * bound their number.
 */
export function createCommitGroup(
  schedule: (run: () => void) => void,
  transact: (rounds: readonly Round[]) => Promise<Transacted>,
) {
  const listeners = createListeners()
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
      const { outcomes, newMark } = await transact(group.map((entry) => entry.round))
      group.forEach((entry, index) => {
        const outcome = outcomes[index]
        assert(outcome, 'a round of the group has no outcome')
        entry.resolve(outcome)
      })
      wake = newMark
    } catch (cause) {
      for (const entry of group) entry.reject(cause)
    }
    if (wake) listeners.call()
  }

  /**
   * Rounds may have been written after a task of `alone`. An empty drain must not start: it would end before `running`
   * is set.
   */
  function start(): void {
    if (waiting.length > 0) running ??= drain()
  }

  async function commitRound(parts: readonly Commit[], options: RoundOptions = {}): Promise<CommitOutcome> {
    for (const { changes } of parts) {
      const { length } = changes
      assert(length <= changesPerCommitMax, `a commit has ${length} changes, more than ${changesPerCommitMax}`)
    }
    return new Promise((resolve, reject) => {
      waiting.push({ round: { ...options, parts }, resolve, reject })
      if (waiting.length === 1 && !running) schedule(start)
    })
  }

  return {
    commitRound,
    commit: (commit: Commit) => commitRound([commit]),
    /** Runs a task between two transactions. */
    async alone(task: () => Promise<void>): Promise<void> {
      while (running) await running
      const work = task()
      const ended = () => undefined
      running = work.then(ended, ended).then(drain)
      await work
    },
    onMark: listeners.add,
    /** Calls the listeners, because another process may have made a mark. */
    wake: () => listeners.call(),
    /** Resolves when all waiting rounds are done. No listener is called after that. */
    async close(): Promise<void> {
      start()
      await running
      listeners.clear()
    },
  }
}
