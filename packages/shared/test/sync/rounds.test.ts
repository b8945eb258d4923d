import { describe, expect, it } from 'vitest'
import { partsOf, positionChange } from '../../src/sync/log/rounds.ts'
import { put } from './mesh.ts'

const at = (revision: number) => ({ store: 'g', revision, commitId: `c${revision}` })

describe('the parts of a round', () => {
  const position = positionChange('west', 'global', at(7))
  const why = { subject: 'global', intent: 'sync' }

  it('S1 a part of a round has at most 1,000 changes, and the position moves in the last part', () => {
    const changes = Array.from({ length: 2500 }, (_, index) => put('global', 'Policy', `p${index}`))
    const parts = partsOf(changes, [position], why)
    expect(parts.map((part) => part.changes.length)).toEqual([999, 999, 503])
    expect(parts.at(-1)?.changes.at(-1)).toBe(position)
    expect(parts.flatMap((part) => part.changes)).toEqual([...changes, position])
  })

  it('S1 a part of a round has a limit of bytes, except for a single larger row', () => {
    const changes = ['a', 'b', 'c'].map((name) => put('global', 'Policy', name, { text: 'x'.repeat(600) }))
    const parts = partsOf(changes, [position], why, { limits: { changesMax: 1000, bytesMax: 1_000 } })
    expect(parts.map((part) => part.changes.length)).toEqual([1, 1, 2])
  })

  it('Y4 every part of a round checks the epoch, also the last one', () => {
    const check = {
      op: 'check',
      key: { origin: 'global', kind: 'SyncEpoch', mesh: '', name: 'west' },
      expect: { revision: 3 },
    } as const
    const changes = Array.from({ length: 2500 }, (_, index) => put('global', 'Policy', `p${index}`))
    const parts = partsOf(changes, [position], why, { guards: [check] })
    expect(parts.map((part) => [part.changes.length, part.changes[0] === check])).toEqual([
      [999, true],
      [999, true],
      [506, true],
    ])
    expect(partsOf([], [position], why, { guards: [check] })[0]?.changes).toEqual([check, position])
  })

  it('S1 a round without rows is one part with the position', () => {
    expect(partsOf([], [position], why)).toEqual([{ ...why, changes: [position] }])
  })
})
