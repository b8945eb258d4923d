import { expect, it } from 'vitest'
import { createCommitGroup } from '../../src/store/group.ts'
import type { Commit, CommitOutcome } from '../../src/store/store.ts'

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
