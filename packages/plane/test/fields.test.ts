import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import { expect, test } from 'vitest'
import { changedFields } from '../src/history/fields.ts'

const cases: readonly (readonly [string, JsonObject, JsonObject, readonly object[]])[] = [
  ['nothing', { a: [1, { b: null }] }, { a: [1, { b: null }] }, []],
  ['a value', { a: { b: 1 } }, { a: { b: 2 } }, [{ field: 'a.b', before: 1, after: 2 }]],
  ['an added field', {}, { a: { b: 1 } }, [{ field: 'a', after: { b: 1 } }]],
  ['a removed field', { a: 1, b: 2 }, { b: 2 }, [{ field: 'a', before: 1 }]],
  [
    'an item of a list',
    { a: [{ w: 1 }, 2] },
    { a: [{ w: 3 }] },
    [
      { field: 'a[0].w', before: 1, after: 3 },
      { field: 'a[1]', before: 2 },
    ],
  ],
  [
    'a key that is no word',
    { tags: { 'kuma.io/service': 'a' } },
    { tags: { 'kuma.io/service': 'b' } },
    [{ field: 'tags["kuma.io/service"]', before: 'a', after: 'b' }],
  ],
  ['another shape', { a: { b: 1 } }, { a: [1] }, [{ field: 'a', before: { b: 1 }, after: [1] }]],
  ['null is a value', { a: null }, {}, [{ field: 'a', before: null }]],
]

test.each(cases)('H1 changed fields are named by their paths: %s', (_title, before, after, expected) => {
  expect(changedFields(before, after)).toEqual(expected)
})
