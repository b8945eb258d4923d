import { expect, test } from 'vitest'
import { type ListenerOrigin, redirectOf } from '../../src/gateway/redirects.ts'
import {
  headerChangesOf,
  hostOf,
  matchesOf,
  matchesThatCut,
  mirrorsOf,
  pathChangeOf,
  rewriteOf,
} from '../../src/gateway/rules.ts'
import type {
  RouteFilter,
  RouteHeaderFilter,
  RouteMatch,
  RouteRedirect,
} from '../../src/kinds/mesh-gateway-route-spec.ts'
import type { RedirectAction } from '../../src/model/model.ts'

const prefix = (value: string): RouteMatch => ({ path: { match: 'PREFIX', value } })

test('GW1 matches of headers and query parameters: equal, expression, present, absent', () => {
  expect(
    matchesOf({
      method: 'PUT',
      headers: [
        { name: 'a', value: '1' },
        { name: 'b', match: 'REGEX', value: '.+' },
        { name: 'c', match: 'PRESENT' },
        { name: 'd', match: 'ABSENT' },
      ],
      queryParameters: [
        { name: 'q', value: '2' },
        { name: 'r', match: 'REGEX', value: '[0-9]' },
      ],
    }),
  ).toEqual([
    {
      path: { type: 'prefix', path: '/' },
      isTwin: false,
      method: 'PUT',
      headers: [
        { name: 'a', type: 'exact', value: '1' },
        { name: 'b', type: 'regex', value: '.+' },
        { name: 'c', type: 'present' },
        { name: 'd', type: 'absent' },
      ],
      queries: [
        { name: 'q', type: 'exact', value: '2' },
        { name: 'r', type: 'regex', value: '[0-9]' },
      ],
    },
  ])
})

test('GW2 only the exact twin of a prefix is marked as such, and any method is no condition', () => {
  const shown = (match: RouteMatch) =>
    matchesThatCut(match).map(({ path, isTwin, method }) => [path.type, isTwin, method])
  expect(shown({ ...prefix('/a'), method: 'NONE' })).toEqual([
    ['exact', true, undefined],
    ['prefix', false, undefined],
  ])
  expect(shown({ path: { match: 'EXACT', value: '/a' }, method: 'GET' })).toEqual([['exact', false, 'GET']])
  expect(shown({ path: { match: 'REGEX', value: '/a' } })).toEqual([['regex', false, undefined]])
})

/** Each route as `match -> new path`. */
const rewritten = (match: RouteMatch, change: { replaceFull?: string; replacePrefixMatch?: string }) =>
  (change.replacePrefixMatch === undefined ? matchesOf : matchesThatCut)(match).map(({ path }) => {
    const found = pathChangeOf(change, path)
    return `${path.type} ${path.path} -> ${found?.type} ${found?.path}`
  })

test.each<[RouteMatch, { replaceFull?: string; replacePrefixMatch?: string }, readonly string[]]>([
  [prefix('/foo'), { replacePrefixMatch: '/xyz' }, ['exact /foo -> prefix /xyz', 'prefix /foo/ -> prefix /xyz/']],
  [prefix('/foo/'), { replacePrefixMatch: '/xyz/' }, ['exact /foo -> prefix /xyz', 'prefix /foo/ -> prefix /xyz/']],
  [prefix('/foo'), { replacePrefixMatch: '/' }, ['exact /foo -> prefix /', 'prefix /foo/ -> prefix /']],
  [prefix('/foo'), { replacePrefixMatch: '' }, ['exact /foo -> prefix /', 'prefix /foo/ -> prefix /']],
  [prefix('/'), { replacePrefixMatch: '/xyz' }, ['exact / -> prefix /xyz', 'prefix / -> prefix /xyz/']],
  [prefix('/'), { replacePrefixMatch: '/' }, ['exact / -> prefix /', 'prefix / -> prefix /']],
  [{ method: 'GET' }, { replacePrefixMatch: '/xyz' }, ['exact / -> prefix /xyz', 'prefix / -> prefix /xyz/']],
  [{ path: { value: '/e/' } }, { replacePrefixMatch: '/xyz/' }, ['exact /e/ -> prefix /xyz']],
  [{ path: { match: 'REGEX', value: '/r.*' } }, { replacePrefixMatch: '/x' }, ['regex /r.* -> prefix /x']],
  [prefix('/foo'), { replaceFull: '/f' }, ['exact /foo -> full /f', 'prefix /foo/ -> full /f']],
  [prefix('/'), { replaceFull: '/f' }, ['prefix / -> full /f']],
  [prefix('/foo'), {}, ['exact /foo -> undefined undefined', 'prefix /foo/ -> undefined undefined']],
])('GW3 the rewrite of match %j with %j', (match, change, expected) => {
  expect(rewritten(match, change)).toEqual(expected)
})

const changes = (...filters: RouteHeaderFilter[]) => headerChangesOf(filters)
const one = (name: string, value: string) => ({ name, value })

test.each<[string, ReturnType<typeof changes>, ReturnType<typeof changes>]>([
  ['nothing', changes(), undefined],
  [
    'all actions of a filter, with the Host separate',
    changes({ set: [one(':authority', 'h'), one('x-one', '1')], add: [one('x-two-b', '2')], remove: ['x-three'] }),
    { set: [one('X-One', '1')], add: [one('X-Two-B', '2')], remove: ['X-Three'] },
  ],
  [
    'filters apply in order',
    changes({ add: [one('a', '1')] }, { add: [one('a', '2')] }, { set: [one('b', '3')] }),
    { set: [one('B', '3')], add: [one('A', '1'), one('A', '2')], remove: [] },
  ],
  [
    'the last set wins',
    changes({ set: [one('a', '1')] }, { set: [one('A', '2')] }),
    { set: [one('A', '2')], add: [], remove: [] },
  ],
  [
    'a set replaces earlier adds',
    changes({ add: [one('a', '1')] }, { set: [one('a', '2')] }),
    { set: [one('A', '2')], add: [], remove: [] },
  ],
  [
    'an add after a set adds',
    changes({ set: [one('a', '1')] }, { add: [one('a', '2')] }),
    { set: [one('A', '1')], add: [one('A', '2')], remove: [] },
  ],
  [
    'a remove removes earlier values',
    changes({ set: [one('a', '1')], add: [one('a', '2')] }, { remove: ['A'] }),
    { set: [], add: [], remove: ['A'] },
  ],
  [
    'within a filter remove applies first',
    changes({ set: [one('a', '1')], remove: ['a'] }),
    { set: [one('A', '1')], add: [], remove: ['A'] },
  ],
])('GW5 header filters: %s', (_title, found, expected) => {
  expect(found).toEqual(expected)
})

test('GW5 a header value that Envoy would not write is refused, also in a row that admission did not check', () => {
  expect(() => changes({ add: [one('a', '%COALESCE(1)%')] })).toThrow(/header a: value has a "%" at 0/)
})

test.each<[string, readonly RouteFilter[], ReturnType<typeof hostOf>, ReturnType<typeof rewriteOf>]>([
  ['nothing', [], undefined, {}],
  [
    'the last literal Host',
    [{ requestHeader: { set: [one('Host', 'a'), one(':authority', 'b')] } }],
    { literal: 'b' },
    {},
  ],
  [
    'the name of the endpoint',
    [{ rewrite: { hostToBackendHostname: true, replaceFull: '/x' } }],
    'endpoint',
    { replaceFull: '/x' },
  ],
  [
    'another header that is set later is no Host',
    [{ requestHeader: { set: [one('Host', 'h'), one('x', '1')] } }],
    { literal: 'h' },
    {},
  ],
  [
    'the last path',
    [{ rewrite: { replaceFull: '/x' } }, { rewrite: { replacePrefixMatch: '/y' } }],
    undefined,
    { replacePrefixMatch: '/y' },
  ],
  [
    'a rewrite without a path changes nothing',
    [{ rewrite: { replaceFull: '/x' } }, { rewrite: {} }],
    undefined,
    { replaceFull: '/x' },
  ],
])('GW6 path and Host rewrites: %s', (_title, filters, host, path) => {
  const rule = { filters: [...filters] }
  expect(hostOf(rule)).toEqual(host)
  expect(rewriteOf(rule)).toMatchObject(path)
})

test('GW7 each mirror gets its share: 0 % mirrors nothing, and a small share is never rounded to nothing', () => {
  const backend = { destination: { 'kuma.io/service': 'copy' } }
  const shares = (...percentages: number[]) =>
    mirrorsOf({ filters: percentages.map((percentage) => ({ mirror: { percentage, backend } })) }).map(
      (found) => found.perMillion,
    )
  expect(shares(100, 0, 33.3, 0.25, 0.0001, 0.000001)).toEqual([1_000_000, 333_000, 2_500, 1, 1])
  expect(() => shares(101)).toThrow('mirror.percentage: expected a number from 0 to 100, found 101')
})

const on: Record<string, ListenerOrigin> = {
  80: { scheme: 'http', port: 80, namesScheme: false },
  8080: { scheme: 'http', port: 8080, namesScheme: false },
  443: { scheme: 'https', port: 443, namesScheme: false },
  8443: { scheme: 'https', port: 8443, namesScheme: false },
}
/** The port in Location: a number, none, `(n)` if it is written only for a Host with a port, or that of the Host. */
const portOf = ({ host, port }: RedirectAction): string =>
  port ? (port.isImplied ? `(${port.number})` : String(port.number)) : host === undefined ? 'as asked' : 'none'

test.each<[RouteRedirect, Record<number, string>]>([
  [{}, { 80: 'as asked', 8080: '8080', 443: 'as asked', 8443: '8443' }],
  [{ hostname: 'h' }, { 80: 'none', 8080: '8080', 443: 'none', 8443: '8443' }],
  [{ scheme: 'https' }, { 80: '(443)', 8080: '(443)', 443: '(443)', 8443: '(443)' }],
  [
    { scheme: 'http', hostname: 'h' },
    { 80: 'none', 8080: 'none', 443: 'none', 8443: 'none' },
  ],
  [{ port: 80 }, { 80: '(80)', 8080: '(80)', 443: '80', 8443: '80' }],
  [
    { port: 443, hostname: 'h' },
    { 80: '443', 8080: '443', 443: 'none', 8443: 'none' },
  ],
  [
    { port: 443, scheme: 'https', hostname: 'h' },
    { 80: 'none', 8080: 'none', 443: 'none', 8443: 'none' },
  ],
  [
    { port: 9000, scheme: 'HTTPS' },
    { 80: '9000', 8080: '9000', 443: '9000', 8443: '9000' },
  ],
  [
    { port: 0, scheme: '', hostname: '' },
    { 80: 'as asked', 8080: '8080', 443: 'as asked', 8443: '8443' },
  ],
])('GW4 the port of a redirect: %j', (redirect, expected) => {
  const path = { type: 'prefix', path: '/' } as const
  const found = Object.entries(on).map(([name, origin]) => [
    name,
    portOf(redirectOf({ statusCode: 302, ...redirect }, origin, path)),
  ])
  expect(Object.fromEntries(found)).toEqual(expected)
})

test('GW4 the other fields of a redirect, and an error for values that no Envoy can express', () => {
  const origin = { scheme: 'http', port: 80, namesScheme: false } as const
  const path = { type: 'prefix', path: '/a/' } as const
  expect(
    redirectOf({ statusCode: 308, scheme: 'HTTP', hostname: 'h', path: { replacePrefixMatch: '/b' } }, origin, path),
  ).toEqual({ type: 'redirect', status: 308, scheme: 'http', host: 'h', path: { type: 'prefix', path: '/b/' } })
  expect(() => redirectOf({ statusCode: 304 }, origin, path)).toThrow('redirect status code 304 is not supported')
  expect(() => redirectOf({ statusCode: 301, scheme: 'ftp' }, origin, path)).toThrow(
    'expected http or https, found "ftp"',
  )
  expect(() => redirectOf({ statusCode: 301, port: 1e6 }, origin, path)).toThrow('redirect.port: expected a port')
})
