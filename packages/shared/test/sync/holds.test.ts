import { describe, expect, it } from 'vitest'
import type { ResourceKey } from '../../src/resource/resource.ts'
import { isMass, isSuspicious, judgeHold, type Listed, type RoundToJudge } from '../../src/sync/log/holds.ts'
import type { Delivered, ReplaceReason } from '../../src/sync/log/messages.ts'

const at = (revision: number, store = 'g') => ({ store, revision, commitId: `c${revision}` })
const keyOf = (kind: string, name: string, origin = 'global'): ResourceKey => ({ origin, kind, mesh: 'default', name })
const keysOf = (count: number, kind = 'Policy', origin = 'global') =>
  Array.from({ length: count }, (_, index) => keyOf(kind, `p${index}`, origin))
const listed = (keys: readonly ResourceKey[]): Listed[] => keys.map((key) => ({ key, incarnation: 1 }))
const removed = (key: ResourceKey, originRevision = 2): Delivered => ({
  key,
  state: 'deleted',
  stamp: { incarnation: 1, originRevision, createdAtMs: 0, modifiedAtMs: 0 },
})
const roundOf = (rows: readonly Delivered[], more: Partial<RoundToJudge> = {}): RoundToJudge => ({
  origin: 'global',
  rows,
  replacement: undefined,
  mark: at(9),
  position: at(5),
  ...more,
})

describe('a commit without a declaration', () => {
  it('Y7 a commit is held if it removes more than 10 rows and more than 30 % of a kind', () => {
    expect([isMass(10, 10), isMass(11, 11), isMass(30, 100), isMass(31, 100)]).toEqual([false, true, false, true])
    const judge = (count: number, total: number) =>
      judgeHold(roundOf(keysOf(count).map((key) => removed(key))), listed(keysOf(total)))
    expect(judge(10, 10)).toBeUndefined()
    expect(judge(11, 11)).toMatchObject({ id: 'commit:1.2', origin: 'global', removals: 11 })
    expect(judge(30, 100)).toBeUndefined()
    expect(judge(31, 100)?.reason).toBe('revision 2 of the global removes 31 of 100 Policy without declared intent')
  })

  it('Y7 a commit is compared with the rows of the store only if it has more than 10 removals of one kind', () => {
    const suspicious = (count: number) => isSuspicious(roundOf(keysOf(count).map((key) => removed(key))))
    expect([suspicious(10), suspicious(11)]).toEqual([false, true])
    const twoKinds = [...keysOf(10), ...keysOf(10, 'Certificate')].map((key) => removed(key))
    expect(isSuspicious(roundOf(twoKinds))).toBe(false)
    const rows = keysOf(20).map((key) => removed(key))
    expect(isSuspicious(roundOf(rows.map((row) => ({ ...row, state: 'live' }))))).toBe(false)
    expect(isSuspicious(roundOf(rows.map((row) => ({ ...row, declared: true }))))).toBe(false)
    expect(isSuspicious(roundOf(rows, { origin: 'east' }))).toBe(false)
    expect(isSuspicious(roundOf(rows.map((row) => ({ ...row, state: 'forgotten' }))))).toBe(true)
  })

  it('Y7 only rows of the owner that the store has count', () => {
    const rows = keysOf(20).map((key) => removed(key))
    // Ten of the twenty removed rows are in the store.
    expect(judgeHold(roundOf(rows), listed(keysOf(10)))).toBeUndefined()
    // Rows of other zones make neither the store nor the removal larger.
    const foreign = listed(keysOf(1000, 'Policy', 'east'))
    expect(judgeHold(roundOf(rows), [...listed(keysOf(20)), ...foreign])).toMatchObject({ removals: 20 })
    expect(judgeHold(roundOf(keysOf(20, 'Policy', 'east').map((key) => removed(key))), foreign)).toBeUndefined()
  })

  it('Y7 each commit is judged by itself, and a small one before it does not hide it', () => {
    const keys = keysOf(30)
    const rows = [...keys.slice(0, 5).map((key) => removed(key, 2)), ...keys.slice(5, 20).map((key) => removed(key, 3))]
    expect(judgeHold(roundOf(rows), listed(keys))).toMatchObject({ id: 'commit:1.3', removals: 15 })
  })
})

describe('a replacement', () => {
  const replacement = (reason: ReplaceReason, missing: readonly ResourceKey[], more: Partial<RoundToJudge> = {}) =>
    roundOf([{ ...removed(keyOf('Policy', 'a')), state: 'live' }], {
      replacement: { reason, missing: listed(missing) },
      ...more,
    })

  it.each([
    ['a rolled back store', at(9), at(8), 'the store of the global is rolled back: its newest revision is 8'],
    ['another history at the same revision', at(9), at(9), 'the store of the global has another history'],
    ['another history', at(9), at(10), 'the store of the global has another history'],
  ])('Y8 a replacement of %s is held', (_case, position, mark, reason) => {
    const hold = judgeHold(replacement('diverged', keysOf(1), { position, mark }), listed(keysOf(2)))
    expect(hold).toMatchObject({ id: 'history:g', removals: 1, reason: expect.stringContaining(reason) })
  })

  it('Y8 a replacement of a store that an operator has accepted is not held, however many rows it omits', () => {
    const accepted = replacement('diverged', keysOf(20), { position: at(9, 'former') })
    expect(judgeHold(accepted, listed(keysOf(20)))).toBeUndefined()
  })

  it('Y8 the omitted rows of each kind count by themselves', () => {
    const keys = [...keysOf(11), ...keysOf(30, 'Certificate')]
    const missing = [...keysOf(10), ...keysOf(9, 'Certificate')]
    expect(judgeHold(replacement('behind', missing), listed(keys))).toBeUndefined()
    const more = [...keysOf(10), ...keysOf(11, 'Certificate')]
    const hold = judgeHold(replacement('behind', more), listed(keys))
    expect(hold).toMatchObject({ id: 'replacement:g', removals: 11 })
    expect(hold?.reason).toBe('a replacement would remove 11 of 30 Certificate')
  })

  it('Y8 a replacement without any row is held if the store has a row of the owner, and only then', () => {
    const empty = (missing: readonly ResourceKey[]) =>
      roundOf([], { replacement: { reason: 'behind', missing: listed(missing) } })
    const hold = judgeHold(empty(keysOf(1)), listed(keysOf(1)))
    expect(hold).toMatchObject({ id: 'replacement:g', removals: 1 })
    expect(hold?.reason).toBe('a replacement without a single row would remove all 1 rows of the global')
    expect(judgeHold(empty([]), listed(keysOf(3, 'Service', 'east')))).toBeUndefined()
    const relayed = {
      ...empty(keysOf(1)),
      rows: [{ ...removed(keyOf('Service', 's', 'east')), state: 'live' as const }],
    }
    expect(judgeHold(relayed, listed(keysOf(1)))).toMatchObject({ id: 'replacement:g' })
    const own = { ...empty(keysOf(1)), rows: [{ ...removed(keyOf('Policy', 'new')), state: 'live' as const }] }
    expect(judgeHold(own, listed(keysOf(1)))).toBeUndefined()
  })
})
