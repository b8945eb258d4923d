import { describe, expect, it } from 'vitest'
import type { Row } from '../../src/resource/resource.ts'
import type { Version } from '../../src/store/store.ts'
import {
  partsOf,
  positionChange,
  positionFrom,
  positionKey,
  rowBytes,
  uncoveredFrom,
} from '../../src/sync/log/rounds.ts'
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

  it('S1 a part has 4 MiB of keys, labels and specs, and a round known to be as small is not measured', () => {
    const sized = (name: string, bytes: number) => {
      const row = put('global', 'Policy', name, { text: '' })
      const empty = row.op === 'put' ? rowBytes(row) : 0
      return put('global', 'Policy', name, { text: 'x'.repeat(bytes - empty) })
    }
    const half = 2 * 1024 * 1024
    const sizes = (...changes: ReturnType<typeof sized>[]) =>
      partsOf(changes, [position], why).map((part) => part.changes.length)
    expect(sizes(sized('a', half), sized('b', half))).toEqual([3])
    expect(sizes(sized('a', half), sized('b', half + 1))).toEqual([1, 2])
    // The bytes of the first part do not count in the second one.
    expect(sizes(sized('a', half), sized('b', half + 1), sized('c', half - 1), sized('d', 200))).toEqual([1, 2, 2])
    const options = { limits: { changesMax: 1000, bytesMax: 100 } }
    const large = [sized('a', 200), sized('b', 200)]
    expect(partsOf(large, [], why, { ...options, bytes: 100 })).toHaveLength(1)
    expect(partsOf(large, [], why, { ...options, bytes: 101 })).toHaveLength(2)
  })

  it('S1 a removal counts the bytes of its key', () => {
    const key = { origin: 'global', kind: 'Policy', mesh: 'm', name: 'n' }
    const removals = [1, 2].map(() => ({ op: 'forget', key }) as const)
    const bytes = 'global/Policy/m/n'.length
    const parts = (bytesMax: number) => partsOf(removals, [], why, { limits: { changesMax: 10, bytesMax } }).length
    expect([parts(2 * bytes), parts(2 * bytes - 1)]).toEqual([1, 2])
  })
})

describe('the stored position', () => {
  const versionOf = (spec: Row['spec']): Version => {
    const key = positionKey('west', 'global')
    const stamp = { incarnation: 1, originRevision: 1, createdAtMs: 1, modifiedAtMs: 1 }
    return { key, revision: 1, state: 'live', stamp, row: { key, stamp, labels: {}, spec } }
  }
  const specOf = (uncovered: readonly string[]) => {
    const change = positionChange('west', 'global', at(7), uncovered)
    return change.op === 'put' ? change.spec : {}
  }

  it('Y1 a position is read as it was written, with the origins that the peer has not named', () => {
    const version = versionOf(specOf(['east']))
    expect([positionFrom(version), uncoveredFrom(version)]).toEqual([at(7), ['east']])
    expect(specOf([])).toEqual(at(7))
    expect(uncoveredFrom(versionOf(specOf([])))).toEqual([])
    expect([positionFrom(undefined), uncoveredFrom(undefined)]).toEqual([undefined, []])
  })

  it.each(['store', 'revision', 'commitId'])('Y1 a position without a valid %s counts as none', (field) => {
    expect(positionFrom(versionOf({ ...at(7), [field]: null }))).toBeUndefined()
  })

  it('Y1 origins that are no texts are ignored', () => {
    expect(uncoveredFrom(versionOf({ ...at(7), uncovered: ['east', 5, null] }))).toEqual(['east'])
    expect(uncoveredFrom(versionOf({ ...at(7), uncovered: 'east' }))).toEqual([])
  })
})
