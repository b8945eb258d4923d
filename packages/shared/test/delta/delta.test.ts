import { expect, test } from 'vitest'
import {
  acknowledge,
  adopt,
  createDeltaSide,
  type DeltaSide,
  difference,
  doubt,
  oldestPending,
  refuse,
  subscribe,
  type Versioned,
  wrote,
} from '../../src/delta/delta.ts'

const one = (name: string, version: string): Versioned => ({ name, version })
const target = (...list: readonly Versioned[]) => new Map(list.map((item) => [item.name, item]))
const request = (
  subscribeTo: readonly string[],
  initial: Record<string, string> = {},
  unsubscribe: readonly string[] = [],
) => ({ subscribe: subscribeTo, unsubscribe, initial })

function wildcardSide(initial: Record<string, string> = {}): DeltaSide<Versioned> {
  const side = createDeltaSide<Versioned>()
  subscribe(side, request([], initial), { wildcardType: true })
  return side
}

function namedSide(names: readonly string[], initial: Record<string, string> = {}): DeltaSide<Versioned> {
  const side = createDeltaSide<Versioned>()
  subscribe(side, request(names, initial), { wildcardType: false })
  return side
}

const write = (
  side: DeltaSide<Versioned>,
  nonce: string,
  changed: readonly Versioned[],
  removed: readonly string[] = [],
  mark = 1,
) => wrote(side, nonce, { changed, removed, mark })

test('DD1 a wildcard peer that reconnects receives only what changed and what was removed', () => {
  const side = wildcardSide({ a: '1', b: '1', gone: '1' })
  expect(difference(side, target(one('a', '1'), one('b', '2'), one('c', '1')))).toEqual({
    changed: [one('b', '2'), one('c', '1')],
    removed: ['gone'],
    missing: [],
  })
})

test('DD2 a peer that subscribes by name receives these names, also those that it holds without a version, and the names that do not exist', () => {
  const side = namedSide(['a', 'b', 'none'], { b: '1' })
  expect(difference(side, target(one('a', '1'), one('b', '1'), one('other', '1')))).toEqual({
    changed: [one('a', '1')],
    removed: [],
    missing: ['none'],
  })
  subscribe(side, request([], {}, ['a', 'none']), { wildcardType: false })
  expect(difference(side, target(one('a', '2'), one('b', '2')))).toEqual({
    changed: [one('b', '2')],
    removed: [],
    missing: [],
  })
})

test('DD3 a sent version counts as held by the peer until the peer refuses it', () => {
  const side = namedSide(['a'])
  write(side, 'n1', [one('a', '1')], [], 7)
  expect(difference(side, target(one('a', '1'))).changed).toEqual([])
  expect(oldestPending(side)).toBe(7)
  expect(acknowledge(side, 'unknown')).toBeUndefined()
  expect(acknowledge(side, 'n1')?.mark).toBe(7)
  expect(oldestPending(side)).toBeUndefined()
})

test('DD4 a version that was refused alone is replaced by the version before it', () => {
  const side = namedSide(['a'])
  write(side, 'n1', [one('a', '1')])
  acknowledge(side, 'n1')
  write(side, 'n2', [one('a', '2')])
  expect(refuse(side, 'n2')?.verdict).toEqual(one('a', '2'))
  expect(difference(side, target(one('a', '2'))).changed).toEqual([])
  side.owed.add('a')
  expect(difference(side, target(one('a', '2'))).changed).toEqual([one('a', '1')])
  expect(difference(side, target(one('a', '3'))).changed).toEqual([one('a', '3')])
})

test('DD5 after a refusal of several versions each is sent again alone, and removals are repeated', () => {
  const side = wildcardSide({ gone: '1' })
  write(side, 'n1', [one('a', '1'), one('b', '1')], ['gone'])
  expect(refuse(side, 'n1')?.verdict).toBeUndefined()
  expect([...side.alone.keys()]).toEqual(['a', 'b'])
  expect(difference(side, target(one('a', '1'), one('b', '1')))).toMatchObject({
    changed: [one('a', '1'), one('b', '1')],
    removed: ['gone'],
  })
  // The target has neither: everything that may have been applied is removed by name.
  expect(difference(side, target()).removed).toEqual(['a', 'b', 'gone'])
})

test('DD6 a refusal does not affect versions that were sent later', () => {
  const side = namedSide(['a'])
  write(side, 'n1', [one('a', '1')])
  write(side, 'n2', [one('a', '2')])
  refuse(side, 'n1')
  expect(difference(side, target(one('a', '2'))).changed).toEqual([])
  acknowledge(side, 'n2')
  expect(side.held.get('a')).toEqual(one('a', '2'))
})

test('DD7 a version in doubt is sent again, and stays in doubt if it is refused', () => {
  const side = wildcardSide({ a: '1' })
  adopt(side, target(one('a', '1')))
  doubt(side, 'a')
  expect(difference(side, target(one('a', '1'))).changed).toEqual([one('a', '1')])
  const other = wildcardSide()
  doubt(other, 'b')
  write(other, 'n1', [one('b', '2')])
  refuse(other, 'n1')
  expect(difference(other, target()).removed).toEqual(['b'])
})
