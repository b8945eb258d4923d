import { expect, test } from 'vitest'
import { bestMatch, compareRank, selects } from '../../src/kinds/tags.ts'
import { hostnameContains, hostnamesMatch } from '../../src/match/hostnames.ts'

test.each([
  // a, b, whether some host matches both
  ['foo.example.com', 'foo.example.com', true],
  ['foo.example.com', 'bar.example.com', false],
  ['*', 'foo.example.com', true],
  ['*', '*.example.com', true],
  ['*', '*', true],
  ['*.com', 'foo.example.com', true],
  ['*.com', '*.example.com', true],
  ['*.example.com', 'foo.example.com', true],
  ['*.example.com', 'a.b.example.com', true],
  ['*.example.com', 'example.com', false],
  ['*.example.com', '*.example.com', true],
  ['*.example.com', '*.other.com', false],
  ['*.com', 'telecom', false],
  ['*.example.com', 'fooexample.com', false],
])('M1 hostnames %s and %s have a host in common: %s', (a, b, expected) => {
  expect(hostnamesMatch(a, b)).toBe(expected)
  expect(hostnamesMatch(b, a)).toBe(expected)
})

test('M1 a wildcard contains a host, but a host does not contain a wildcard', () => {
  expect(hostnameContains('*.com', 'a.com')).toBe(true)
  expect(hostnameContains('a.com', '*.com')).toBe(false)
  expect(hostnameContains('*.a.com', '*.com')).toBe(false)
})

test.each([
  [{ a: '1' }, { a: '1', b: '2' }, true],
  [{ a: '*' }, { a: '1' }, true],
  [{ a: '*' }, { b: '1' }, false],
  [{ a: '1', b: '2' }, { a: '1' }, false],
  [{}, { a: '1' }, true],
])('M2 selector %o selects %o: %s', (selector: Record<string, string>, tags: Record<string, string>, expected) => {
  expect(selects(selector, tags)).toBe(expected)
})

test('M3 a selector with more tags ranks higher, and an exact value ranks above a wildcard', () => {
  const tags = { 'kuma.io/service': 'a', version: 'v1' }
  const star = bestMatch([{ match: { 'kuma.io/service': '*' } }], tags)
  const exact = bestMatch([{ match: { 'kuma.io/service': '*' } }, { match: { 'kuma.io/service': 'a' } }], tags)
  const two = bestMatch([{ match: { 'kuma.io/service': '*', version: '*' } }], tags)
  expect(star && exact && two && [compareRank(exact, star) > 0, compareRank(two, exact) > 0]).toEqual([true, true])
  expect(bestMatch([{ match: { 'kuma.io/service': 'b' } }], tags)).toBeUndefined()
})
