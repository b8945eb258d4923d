import { expect, test } from 'vitest'
import { same } from '../../src/view/same.ts'

const bytes = (...values: number[]) => Uint8Array.from(values)
/** Each value differs from all others. Each call makes new objects, so that identity does not decide. */
const values = (): readonly unknown[] => [
  undefined,
  null,
  0,
  -0,
  Number.NaN,
  '',
  '0',
  false,
  {},
  { a: 1 },
  { a: 2 },
  { b: 1 },
  { a: undefined },
  { a: 1, b: 1 },
  { a: 1, b: undefined },
  { a: { b: [1] } },
  { a: { b: [2] } },
  { 0: 1, length: 1 },
  [],
  [undefined],
  [1],
  [1, 2],
  [2, 1],
  [1, 2, 3],
  [[1], { a: 1 }],
  [[1], { a: 2 }],
  bytes(),
  bytes(1),
  bytes(1, 2),
  bytes(1, 3),
  new Map(),
  new Map([['a', 1]]),
  new Map([['a', 2]]),
  new Map([['b', 1]]),
  new Map([['a', undefined]]),
  new Map([['b', undefined]]),
  new Map([
    ['a', 1],
    ['b', 1],
  ]),
  new Map([['a', [1]]]),
  new Set(),
  new Set(['a']),
  new Set(['b']),
  new Set(['a', 'b']),
]

test('U1 a value is unchanged only if its content is equal, at every depth', () => {
  const [ones, others] = [values(), values()]
  for (const [at, one] of ones.entries())
    expect(others.flatMap((other, index) => (same(one, other) ? [index] : []))).toEqual([at])
})

test('U1 the order of keys does not matter, but the order of a list does', () => {
  expect(same({ a: 1, b: 2 }, { b: 2, a: 1 })).toBe(true)
  expect(same(new Map(Object.entries({ a: 1, b: 2 })), new Map(Object.entries({ b: 2, a: 1 })))).toBe(true)
  expect(same(new Set(['a', 'b']), new Set(['b', 'a']))).toBe(true)
  expect(same(['a', 'b'], ['b', 'a'])).toBe(false)
})
