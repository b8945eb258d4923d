import { expect, test } from 'vitest'
import { bestMatch, compareRank, selects } from '../../src/kinds/tags.ts'
import { gatewayRank, isBetterGateway } from '../../src/match/gateways.ts'
import { compareHostnames, hostnameContains, hostnamesMatch, specificity } from '../../src/match/hostnames.ts'

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
  expect(hostnameContains('*.com', '*')).toBe(false)
})

test('M1 exact names are more specific than wildcards, longer names than shorter ones, and any host is last', () => {
  const ascending = ['*', '*.a', '*.very.long.example.com', 'a', 'a.b']
  expect([...ascending].reverse().sort((a, b) => specificity(a) - specificity(b))).toEqual(ascending)
  expect(specificity('*.a')).toBeGreaterThan(specificity('*'))
  expect(['*', 'a', '*.b', 'b'].sort(compareHostnames)).toEqual(['b', 'a', '*.b', '*'])
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

const edge = { 'kuma.io/service': 'edge' }
const gateway = (...ports: number[]) => ({
  selectors: [{ match: edge }],
  conf: { listeners: ports.map((port) => ({ port, protocol: 'HTTP' as const })) },
})

test('GW29 a gateway without a valid listener serves no proxy, and another service is not its concern', () => {
  expect(gatewayRank(gateway(80), edge)).toEqual(bestMatch([{ match: edge }], edge))
  expect(gatewayRank(gateway(0, 80), edge)).toBeDefined()
  expect(() => gatewayRank(gateway(), edge)).toThrow('conf.listeners: expected at least one')
  expect(() => gatewayRank(gateway(0), edge)).toThrow('conf.listeners.port: expected a port, found 0')
  for (const ports of [[], [0], [80]])
    expect(gatewayRank(gateway(...ports), { 'kuma.io/service': 'other' })).toBeUndefined()
})

test('GW29 among gateways the most specific is better, then the newest, then the first by name', () => {
  const [star, exact] = [{ 'kuma.io/service': '*' }, edge].map((match) => bestMatch([{ match }], edge))
  if (!star || !exact) throw new Error('both selectors match')
  const descending = [
    { key: 'z', createdAtMs: 0, rank: exact },
    { key: 'y', createdAtMs: 2, rank: star },
    { key: 'a', createdAtMs: 1, rank: star },
    { key: 'b', createdAtMs: 1, rank: star },
  ]
  for (const [at, one] of descending.entries())
    expect(descending.map((other) => isBetterGateway(one, other))).toEqual(
      descending.map((_other, index) => at < index),
    )
})
