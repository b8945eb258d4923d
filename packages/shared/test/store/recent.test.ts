import { describe, expect, it } from 'vitest'
import { createRecent } from '../../src/store/recent.ts'
import type { Version } from '../../src/store/store.ts'

const stamp = { incarnation: 1, originRevision: 1, createdAtMs: 0, modifiedAtMs: 0 }
const version = (name: string, revision: number, origin = 'global'): Version => {
  const key = { origin, kind: 'K', mesh: 'm', name }
  return { key, revision, state: 'live', stamp, row: { key, stamp, labels: {}, spec: {} } }
}
const told = (page: { readonly versions: readonly Version[]; readonly next?: string } | undefined) =>
  page?.versions.map(({ key, revision }) => `${key.name}@${revision}`).join(' ')

describe('the versions of the newest commits', () => {
  const recent = () => {
    const one = createRecent(10)
    one.add(11, [version('b', 11), version('a', 11)], 10)
    one.add(12, [version('c', 12, 'east')], 10)
    one.add(13, [version('a', 13)], 10)
    return one
  }

  it('L5 the cache returns the newest version of each key up to a revision, ordered by revision and key, in pages', () => {
    const one = recent()
    expect(told(one.changesSince(10, 13, { limit: 9 }))).toBe('b@11 c@12 a@13')
    expect(told(one.changesSince(10, 12, { limit: 9 }))).toBe('a@11 b@11 c@12')
    expect(told(one.changesSince(12, 13, { limit: 9 }))).toBe('a@13')
    expect(told(one.changesSince(10, 13, { limit: 9, origin: 'east' }))).toBe('c@12')
    const first = one.changesSince(10, 12, { limit: 1 })
    expect([told(first), first?.next]).toEqual(['a@11', '11/global/K/m/a'])
    expect(told(one.changesSince(10, 12, { limit: 9, resume: '11/global/K/m/a' }))).toBe('b@11 c@12')
  })

  it('S5 the cache does not answer for what it does not hold: older commits, dropped commits, and keys that the file orders differently', () => {
    expect(recent().changesSince(9, 13, { limit: 9 })).toBeUndefined()
    const small = createRecent(10, 2_000)
    small.add(11, [version('a', 11)], 1_000)
    small.add(12, [version('a', 12)], 1_000)
    expect(small.changesSince(10, 12, { limit: 9 })).toBeUndefined()
    expect(told(small.changesSince(11, 12, { limit: 9 }))).toBe('a@12')
    small.add(13, [version('\u{1f600}', 13)], 10)
    expect(small.changesSince(11, 13, { limit: 9 })).toBeUndefined()
    small.add(14, [version('b', 14)], 10)
    expect(told(small.changesSince(13, 14, { limit: 9 }))).toBe('b@14')
  })

  it('S5 the cache holds 2 MiB of content, and each version counts 512 bytes in addition', () => {
    const limit = 2 * 1024 * 1024
    const holds = (first: number, versions: number) => {
      const one = createRecent(10)
      const names = Array.from({ length: versions }, (_unused, index) => version(`b${index}`, 12))
      one.add(11, [version('a', 11)], first)
      one.add(12, names, 0)
      return one.changesSince(10, 12, { limit: 1 }) !== undefined
    }
    expect([holds(limit - 3 * 512, 2), holds(limit - 3 * 512 + 1, 2)]).toEqual([true, false])
    expect([holds(limit - 4 * 512, 3), holds(limit - 4 * 512 + 1, 3)]).toEqual([true, false])
  })

  it('S5 a version whose commit was dropped is not superseded, and its key may return', () => {
    const one = createRecent(10, 3_000)
    one.add(11, [version('a', 11), version('b', 11)], 1_000)
    one.add(12, [version('a', 12)], 1_000)
    expect(one.changesSince(10, 12, { limit: 9 })).toBeUndefined()
    one.add(13, [version('b', 13)], 100)
    expect(told(one.changesSince(11, 13, { limit: 9 }))).toBe('a@12 b@13')
    // The newest version of a key supersedes the one before it, although the first one was dropped.
    one.add(14, [version('a', 14)], 100)
    expect(told(one.changesSince(11, 14, { limit: 9 }))).toBe('b@13 a@14')
    expect(told(one.changesSince(11, 13, { limit: 9 }))).toBe('a@12 b@13')
  })

  it('S5 a commit with a key that the file orders differently empties the cache, even if it has no content', () => {
    const one = createRecent(10)
    one.add(11, [version('a', 11)], 0)
    one.add(12, [version('ä', 12)], 0)
    expect(one.changesSince(11, 12, { limit: 9 })).toBeUndefined()
    expect(one.changesSince(12, 12, { limit: 9 })).toEqual({ versions: [] })
    const control = createRecent(10)
    control.add(11, [version('\u007f', 11)], 0)
    expect(control.changesSince(10, 11, { limit: 9 })).toBeUndefined()
    const tilde = createRecent(10)
    tilde.add(11, [version(' ~', 11)], 0)
    expect(told(tilde.changesSince(10, 11, { limit: 9 }))).toBe(' ~@11')
  })

  it('L5 a page that is full at the last version names it, and the next page is empty', () => {
    const one = recent()
    const last = one.changesSince(12, 13, { limit: 1 })
    expect(last?.next).toBe('13/global/K/m/a')
    expect(one.changesSince(12, 13, { limit: 1, resume: '13/global/K/m/a' })).toEqual({ versions: [] })
    expect(one.changesSince(13, 13, { limit: 1 })).toEqual({ versions: [] })
  })
})
