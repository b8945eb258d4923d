import { expect, it } from 'vitest'
import { createCommitGroup } from '../../src/store/group.ts'
import type { Commit, CommitOutcome, RoundOptions } from '../../src/store/store.ts'

const commit: Commit = { changes: [], subject: 'test', intent: 'test' }

/** A group whose turns run when the test starts them. */
function createScene() {
  const turns: (() => void)[] = []
  let done = 0
  const group = createCommitGroup(
    (run) => void turns.push(run),
    async (rounds) => {
      done += rounds.length
      const position = { store: 's', revision: done, commitId: '' }
      return { outcomes: rounds.map((): CommitOutcome => ({ ok: true, position, written: [] })), newMark: true }
    },
  )
  const turn = () => turns.splice(0).forEach((run) => run())
  return { group, turn }
}

/** Lets all work finish that needs no further turn. */
const settled = async () => {
  for (let step = 0; step < 50; step += 1) await Promise.resolve()
}

it('S4 a commit is accepted after an exclusive task has written another commit whose turn was still pending', async () => {
  const { group, turn } = createScene()
  const first = group.commit(commit)
  await group.alone(async () => {})
  await first
  await settled()
  turn()
  let isDone = false
  void group.commit(commit).then(() => {
    isDone = true
  })
  await settled()
  turn()
  await settled()
  expect(isDone).toBe(true)
})

/** A group whose transactions the test ends. Each one is shown by the numbers of its rounds. */
function createSlow() {
  const turns: (() => void)[] = []
  const transactions: {
    readonly rounds: readonly string[]
    end(newMark: boolean, outcomes?: number): void
    fail(cause: Error): void
  }[] = []
  const group = createCommitGroup(
    (run) => void turns.push(run),
    (rounds) => {
      const { promise, resolve, reject } = Promise.withResolvers<{ outcomes: CommitOutcome[]; newMark: boolean }>()
      const outcome = (index: number): CommitOutcome => ({
        ok: true,
        position: { store: 's', revision: index, commitId: '' },
        written: [],
      })
      transactions.push({
        rounds: rounds.map(({ parts, unmarked }) => `${parts[0]?.subject}${unmarked ? ' unmarked' : ''}`),
        end: (newMark, outcomes = rounds.length) =>
          resolve({ outcomes: Array.from({ length: outcomes }, (_unused, index) => outcome(index)), newMark }),
        fail: reject,
      })
      return promise
    },
  )
  const results: string[] = []
  const commit = (subject: string, options: RoundOptions = {}) =>
    group.commitRound([{ changes: [], subject, intent: 'test' }], options).then(
      (outcome) => void results.push(`${subject} ${outcome.ok ? outcome.position.revision : 'refused'}`),
      (cause: Error) => void results.push(`${subject}: ${cause.message}`),
    )
  const turn = async () => {
    for (const run of turns.splice(0)) run()
    await settled()
  }
  return { group, turns, transactions, results, commit, turn }
}

it('S4 rounds of one turn share a transaction, and rounds that arrive during it share the next one', async () => {
  const { turns, transactions, results, commit, turn } = createSlow()
  void commit('a')
  void commit('b', { unmarked: true })
  expect(turns).toHaveLength(1)
  await turn()
  void commit('c')
  void commit('d')
  expect(turns).toHaveLength(0)
  expect(transactions.map(({ rounds }) => rounds)).toEqual([['a', 'b unmarked']])
  transactions[0]?.end(true)
  await settled()
  expect(results).toEqual(['a 0', 'b 1'])
  expect(transactions[1]?.rounds).toEqual(['c', 'd'])
  transactions[1]?.end(true)
  await settled()
  void commit('e')
  expect(turns).toHaveLength(1)
  await turn()
  expect(transactions[2]?.rounds).toEqual(['e'])
})

it('S10 a transaction that fails rejects all its rounds, and the next one is not affected', async () => {
  const { transactions, results, commit, turn } = createSlow()
  void commit('a')
  void commit('b')
  await turn()
  void commit('c')
  transactions[0]?.fail(new Error('the disk is full'))
  await settled()
  expect(results).toEqual(['a: the disk is full', 'b: the disk is full'])
  transactions[1]?.end(true)
  await settled()
  expect(results.at(-1)).toBe('c 0')
})

it('S10 a round without an outcome is rejected, and the outcomes of the others count', async () => {
  const { transactions, results, commit, turn } = createSlow()
  void commit('a')
  void commit('b')
  await turn()
  transactions[0]?.end(true, 1)
  await settled()
  expect(results).toEqual(['a 0', 'b: invariant broken: a round of the group has no outcome'])
})

it('S13 listeners are notified of new marks only, after the rounds have resolved', async () => {
  const { group, transactions, results, commit, turn } = createSlow()
  const listening = group.onMark(() => results.push('mark'))
  void commit('a')
  await turn()
  transactions[0]?.end(false)
  await settled()
  expect(results).toEqual(['a 0'])
  void commit('b')
  await turn()
  transactions[1]?.fail(new Error('failed'))
  await settled()
  expect(results).toEqual(['a 0', 'b: failed'])
  void commit('c')
  await turn()
  transactions[2]?.end(true)
  await settled()
  expect(results.slice(2).sort()).toEqual(['c 0', 'mark'])
  group.wake()
  expect(results.at(-1)).toBe('mark')
  listening[Symbol.dispose]()
  group.wake()
  expect(results).toHaveLength(5)
})

it('S13 a closed group has written the rounds that waited, and notifies nobody', async () => {
  const { group, transactions, results, commit } = createSlow()
  group.onMark(() => results.push('mark'))
  void commit('a')
  // The turn has not begun.
  const closed = group.close().then(() => results.push('closed'))
  await settled()
  expect(transactions[0]?.rounds).toEqual(['a'])
  expect(results).toEqual([])
  transactions[0]?.end(false)
  await closed
  expect(results).toEqual(['a 0', 'closed'])
  group.wake()
  expect(results).toHaveLength(2)
})

it('S4 an exclusive task waits for the transaction that runs, and rounds wait for the task, also if it fails', async () => {
  const { group, transactions, results, commit, turn } = createSlow()
  void commit('a')
  await turn()
  const gate = Promise.withResolvers<void>()
  const alone = group.alone(async () => {
    results.push('task')
    await gate.promise
    throw new Error('the task failed')
  })
  await settled()
  expect(results).toEqual([])
  transactions[0]?.end(true)
  await settled()
  expect(results).toEqual(['a 0', 'task'])
  void commit('b')
  await turn()
  expect(transactions).toHaveLength(1)
  gate.resolve()
  await expect(alone).rejects.toThrow('the task failed')
  await settled()
  expect(transactions[1]?.rounds).toEqual(['b'])
})

it('S21 a part has at most 1,000 changes', async () => {
  const { group, turns } = createSlow()
  const of = (count: number): Commit => ({
    changes: Array.from({ length: count }, (_unused, index) => ({
      op: 'forget',
      key: { origin: 'o', kind: 'K', mesh: '', name: `n${index}` },
    })),
    ...{ subject: 's', intent: 'i' },
  })
  await expect(group.commit(of(1_001))).rejects.toThrow('a commit has 1001 changes, more than 1000')
  expect(turns).toHaveLength(0)
  void group.commitRound([of(1_000), of(1_000)])
  expect(turns).toHaveLength(1)
})
