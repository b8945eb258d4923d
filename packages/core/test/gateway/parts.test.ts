import { expect, test } from 'vitest'
import { gatewayClusterName } from '../../src/edge/cluster-name.ts'
import { weightBackends } from '../../src/gateway/backends.ts'
import { compareEntries, type RouteEntry } from '../../src/gateway/order.ts'
import { matchesOf } from '../../src/gateway/rules.ts'
import { createTagSets } from '../../src/kinds/tags.ts'
import type { RouteModel } from '../../src/model/model.ts'

test('GW35 the hash in a cluster name equals the value of Kuma', () => {
  expect(
    gatewayClusterName(
      { 'kuma.io/service': 'echo-service' },
      { 'kuma.io/service': 'gateway-default', port: 'http/8080' },
    ),
  ).toBe('echo-service-9f149ed9e14091ca')
  expect(gatewayClusterName({ 'kuma.io/service': 'echo' }, {})).toBe('echo')
})

const backend = (service: string, weight?: number, tags: Record<string, string> = {}) => ({
  ...(weight === undefined ? {} : { weight }),
  destination: { 'kuma.io/service': service, ...tags },
})

test.each([
  ['one backend without a weight has weight 1', [backend('a')], [1]],
  ['one backend with weight 0 has weight 1', [backend('a', 0)], [1]],
  ['backends without weights have weight 1 each', [backend('a'), backend('b')], [1, 1]],
  ['weight 0 beside other weights gets no traffic', [backend('a', 0), backend('b', 3)], [0, 3]],
  ['the weights of equal destinations are added', [backend('a', 2), backend('a', 3), backend('b', 5)], [5, 5]],
  ['other tags have another cluster', [backend('a', 1), backend('a', 2, { version: 'v2' })], [1, 2]],
])('GW10 the weights of backends: %s', (_title, backends, weights) => {
  const tagSet = createTagSets()
  const found = weightBackends(backends, tagSet({}), tagSet)
  expect(found.map((one) => one.weight).sort()).toEqual([...weights].sort())
  expect(new Set(found.map((one) => one.cluster)).size).toBe(found.length)
})

test.each([
  [{ match: 'PREFIX' as const, value: '/' }, [['prefix', '/', false]]],
  [
    { match: 'PREFIX' as const, value: '/a' },
    [
      ['exact', '/a', true],
      ['prefix', '/a/', false],
    ],
  ],
  [
    { match: 'PREFIX' as const, value: '/a/' },
    [
      ['exact', '/a', true],
      ['prefix', '/a/', false],
    ],
  ],
  [{ match: 'EXACT' as const, value: '/a/' }, [['exact', '/a/', false]]],
  [{ value: '/a' }, [['exact', '/a', false]]],
  [{ match: 'REGEX' as const, value: '/a.*' }, [['regex', '/a.*', false]]],
  [undefined, [['prefix', '/', false]]],
])('GW2 the matches of path %o', (path, expected) => {
  const found = matchesOf({ ...(path ? { path } : {}), method: 'GET' })
  expect(found.map((one) => [one.path.type, one.path.path, one.isTwin])).toEqual(expected)
  expect(found.every((one) => one.method === 'GET')).toBe(true)
})

const entry = (
  name: string,
  route: Partial<Omit<RouteModel, 'because'>>,
  more: Partial<RouteEntry> = {},
): RouteEntry => ({
  route: {
    path: { type: 'prefix', path: '/' },
    headers: [],
    queries: [],
    because: ['m'],
    action: {
      type: 'forward',
      clusters: [{ name, weight: 1 }],
      weighted: true,
      requestMs: undefined,
      idleMs: undefined,
    },
    ...route,
  },
  isTwin: false,
  createdAtMs: 5,
  source: 'm',
  rule: 0,
  match: 0,
  ...more,
})
const header = { name: 'x', type: 'exact' as const, value: '1' }

test('GW9 the routes of a virtual host have one order, regardless of the order of their rows', () => {
  const ordered = [
    entry('long exact', { path: { type: 'exact', path: '/abc' } }),
    entry('exact', { path: { type: 'exact', path: '/a' } }),
    entry('twin with method', { path: { type: 'exact', path: '/a' }, method: 'GET' }, { isTwin: true }),
    entry('twin', { path: { type: 'exact', path: '/a' } }, { isTwin: true }),
    entry('long prefix', { path: { type: 'prefix', path: '/a/b/' } }),
    entry('method', { path: { type: 'prefix', path: '/a/' }, method: 'GET' }),
    entry('two headers', { path: { type: 'prefix', path: '/a/' }, headers: [header, header] }),
    entry('header and query', { path: { type: 'prefix', path: '/a/' }, headers: [header], queries: [header] }),
    entry('header', { path: { type: 'prefix', path: '/a/' }, headers: [header] }),
    entry('query', { path: { type: 'prefix', path: '/a/' }, queries: [header] }),
    entry('plain a', { path: { type: 'prefix', path: '/a/' } }),
    entry('plain b', { path: { type: 'prefix', path: '/b/' } }),
    entry('oldest', {}, { createdAtMs: 1, source: 'z' }),
    entry('by name', {}, { source: 'a' }),
    entry('first rule', {}, { rule: 0, match: 1 }),
    entry('second rule', {}, { rule: 1 }),
    entry('second match', {}, { rule: 1, match: 1 }),
    entry('regex', { path: { type: 'regex', path: '/a.*/b.*/c' } }),
  ]
  const names = (entries: readonly RouteEntry[]) =>
    entries.map(({ route: { action } }) => action.type === 'forward' && action.clusters[0]?.name)
  expect(names([...ordered].reverse().sort(compareEntries))).toEqual(names(ordered))
  const mixed = [...ordered.slice(7), ...ordered.slice(0, 7)]
  expect(names(mixed.sort(compareEntries))).toEqual(names(ordered))
})
