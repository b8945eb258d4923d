import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Tags } from '../../src/kinds/common.ts'
import { createTagSets } from '../../src/kinds/tags.ts'
import { type Argument, keyOf, titleOf } from '../../src/view/arguments.ts'
import { createUnits } from '../../src/view/units.ts'

const tagSet = createTagSets()
const tags = fc.dictionary(fc.constantFrom('a', 'b', 'c'), fc.constantFrom('', '1', '2'))

test('C7 equal tag sets are one object regardless of the order of their tags, and different tag sets are not', () => {
  fc.assert(
    fc.property(tags, tags, (one, other) => {
      const reversed: Tags = Object.fromEntries(Object.entries(one).reverse())
      expect(tagSet(reversed)).toBe(tagSet(one))
      expect(Object.keys(tagSet(reversed).tags)).toEqual(Object.keys(one).sort())
      const isEqual = Object.keys({ ...one, ...other }).every((key) => one[key] === other[key])
      expect(tagSet(one) === tagSet(other)).toBe(isEqual)
    }),
  )
})

test('C7 every argument of a unit identifies it: an absent argument equals no text, and two texts never equal one', () => {
  const values: readonly Argument[] = ['', 'a', 'b', 'a\nb', undefined, true, false, 80, tagSet({}), tagSet({ a: '1' })]
  const lists = [[], ...values.map((one) => [one]), ...values.flatMap((one) => values.map((other) => [one, other]))]
  expect(new Set(lists.map(keyOf)).size).toBe(lists.length)
  expect(lists.map((list) => keyOf([...list]))).toEqual(lists.map(keyOf))
})

test('C7 a unit is found by its tag set, and its name has the text of it', () => {
  const names: string[] = []
  const units = createUnits({ faultPoint: (unit) => void names.push(unit) })
  const service = units.family('service', (wanted: ReturnType<typeof tagSet>, port: number | undefined) => [
    wanted.tags['a'],
    port,
  ])
  const root = units.root('root', () => [
    service(tagSet({ b: '2', a: '1' }), undefined),
    service(tagSet({ a: '1', b: '2' }), undefined),
    service(tagSet({ a: '1', b: '2' }), 80),
  ])
  expect(root.read().value).toEqual([
    ['1', undefined],
    ['1', undefined],
    ['1', 80],
  ])
  expect(names).toEqual(['service {"a":"1","b":"2"}\n', 'service {"a":"1","b":"2"}\n80', 'root'])
  expect(titleOf([tagSet({ a: '1' }), 'x'])).toBe('{"a":"1"}\nx')
})
