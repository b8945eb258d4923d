import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findEnvoy } from '@zonemesh/dataplane/envoy/find.ts'
import { expect, test } from 'vitest'
import { admit } from '../../src/admit/admit.ts'
import { createCompiler } from '../../src/compile/compiler.ts'
import { decoded } from '../../src/emit/decode.ts'
import { typeUrls } from '../../src/emit/table.ts'
import { builtinGateway, createScene, global, httpRoute, meshGateway, zoned } from '../compile/scene.ts'
import { withTable } from './with-table.ts'

const binary = await findEnvoy({ env: process.env, progress: () => undefined }, AbortSignal.timeout(60_000)).catch(
  () => undefined,
)

const backends = [{ destination: { 'kuma.io/service': 'echo' } }]
const all = { path: { match: 'PREFIX', value: '/' } }

interface TableJson {
  readonly virtual_hosts?: readonly { readonly routes: readonly object[] }[]
}

/** The configuration of a gateway on this port for one MeshGatewayRoute with these rules. */
function compiled(rules: readonly object[], port = 80) {
  const scene = createScene()
  const compiler = createCompiler({ zone: 'east' })
  compiler.apply(
    [
      scene.put(zoned('east', 'Dataplane', 'edge'), builtinGateway('10.0.0.5')),
      scene.put(global('MeshGateway', 'edge'), meshGateway([{ port, protocol: 'HTTP' }])),
      scene.put(global('MeshGatewayRoute', 'r'), httpRoute(rules)),
    ],
    scene.revision,
  )
  const table = compiler.table('east/Dataplane/default/edge', { canBindPort80: true })
  return { table, json: decoded(table, typeUrls.route)[`edge:HTTP:${port}:*`] }
}

// The tests declare the fields of the decoded table that they read.
const routesOf = (json: unknown): readonly object[] => (json as TableJson).virtual_hosts?.[0]?.routes ?? []
const regex = (text: string) => ({ safe_regex: { regex: text } })

test('GW2 matches in the configuration of Envoy', () => {
  const { json } = compiled([
    {
      matches: [
        {
          path: { match: 'REGEX', value: '/r/[0-9]+' },
          method: 'POST',
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
        },
        { method: 'CONNECT' },
      ],
      backends,
    },
  ])
  expect(routesOf(json)).toMatchObject([
    {
      match: { connect_matcher: {}, headers: [{ name: ':method', string_match: { exact: 'CONNECT' } }] },
      route: { upgrade_configs: [{ upgrade_type: 'CONNECT' }] },
    },
    {
      match: {
        ...regex('/r/[0-9]+'),
        headers: [
          { name: ':method', string_match: { exact: 'POST' } },
          { name: 'a', string_match: { exact: '1' } },
          { name: 'b', string_match: regex('.+') },
          { name: 'c', present_match: true },
          { name: 'd', present_match: false },
        ],
        query_parameters: [
          { name: 'q', string_match: { exact: '2' } },
          { name: 'r', string_match: regex('[0-9]') },
        ],
      },
    },
  ])
})

test('GW6 paths, Host, headers and mirrors of forwarded requests in the configuration of Envoy', () => {
  const copy = (service: string) => ({ destination: { 'kuma.io/service': service } })
  const { json, table } = compiled([
    {
      matches: [{ path: { match: 'PREFIX', value: '/cut' } }],
      filters: [
        { rewrite: { replacePrefixMatch: '/new' } },
        { rewrite: { hostToBackendHostname: true } },
        { mirror: { percentage: 100, backend: copy('first') } },
        { mirror: { percentage: 0.5, backend: copy('second') } },
        { mirror: { percentage: 0.0003, backend: copy('third') } },
        { mirror: { percentage: 0, backend: copy('none') } },
        { mirror: { percentage: 7, backend: copy('kuma.io/unresolved-backend') } },
      ],
      backends,
    },
    {
      matches: [{ path: { value: '/whole' } }],
      filters: [
        { rewrite: { replaceFull: '/a\\1b' } },
        { requestHeader: { set: [{ name: 'host', value: 'h' }], remove: ['x-a'] } },
        { responseHeader: { set: [{ name: 'x-b', value: '1' }], add: [{ name: 'x-c', value: '2' }], remove: ['x-d'] } },
      ],
      backends,
    },
  ])
  const share = (name: string, numerator: number, denominator?: string) => ({
    cluster: expect.stringMatching(`^${name}-`),
    runtime_fraction: { default_value: { numerator, ...(denominator ? { denominator } : {}) } },
  })
  const mirrors = [share('first', 100), share('second', 50, 'TEN_THOUSAND'), share('third', 3, 'MILLION')]
  expect(routesOf(json)).toMatchObject([
    {
      match: { path: '/whole' },
      route: { regex_rewrite: { pattern: { regex: '.*' }, substitution: '/a\\\\1b' }, host_rewrite_literal: 'h' },
      request_headers_to_remove: ['X-A'],
      response_headers_to_add: [
        { header: { key: 'X-B', value: '1' }, append_action: 'OVERWRITE_IF_EXISTS_OR_ADD' },
        { header: { key: 'X-C', value: '2' } },
      ],
      response_headers_to_remove: ['X-D'],
    },
    {
      match: { path: '/cut' },
      route: { prefix_rewrite: '/new', auto_host_rewrite: true, request_mirror_policies: mirrors },
    },
    {
      match: { prefix: '/cut/' },
      route: { prefix_rewrite: '/new/', auto_host_rewrite: true, request_mirror_policies: mirrors },
    },
  ])
  // Mirrors are destinations: they have clusters and assignments, and the table waits for them.
  const services = (names: readonly string[]) => names.map((name) => name.replace(/-[0-9a-f]{16}$/, '')).sort()
  const expected = ['echo', 'first', 'second', 'third']
  expect(services(Object.keys(decoded(table, typeUrls.cluster)))).toEqual(expected)
  expect(services(Object.keys(decoded(table, typeUrls.assignment)))).toEqual(expected)
  expect(services(table?.resources.get(typeUrls.route)?.get('edge:HTTP:80:*')?.clusters ?? [])).toEqual(expected)
})

test('GW4 redirects in the configuration of Envoy', () => {
  const { json, table } = compiled(
    [
      { matches: [{ path: { value: '/a' } }], filters: [{ redirect: { statusCode: 301, scheme: 'https' } }] },
      {
        matches: [{ path: { value: '/bb' } }],
        filters: [{ redirect: { statusCode: 307, hostname: 'h.example', path: { replaceFull: '/x?own=1' } } }],
      },
      {
        matches: [{ path: { match: 'PREFIX', value: '/ccc' } }],
        filters: [{ redirect: { statusCode: 302, scheme: 'http', port: 81, path: { replacePrefixMatch: '/' } } }],
      },
    ],
    8080,
  )
  expect(routesOf(json)).toEqual([
    {
      match: { path: '/ccc' },
      redirect: { response_code: 'FOUND', scheme_redirect: 'http', port_redirect: 81, prefix_rewrite: '/' },
    },
    {
      match: { path: '/bb' },
      redirect: {
        response_code: 'TEMPORARY_REDIRECT',
        host_redirect: 'h.example',
        port_redirect: 8080,
        path_redirect: '/x?own=1',
        strip_query: true,
      },
    },
    {
      match: { path: '/a', headers: [{ name: ':authority', string_match: regex('.*:[0-9]+') }] },
      redirect: { scheme_redirect: 'https', port_redirect: 443 },
    },
    { match: { path: '/a' }, redirect: { scheme_redirect: 'https' } },
    {
      match: { prefix: '/ccc/' },
      redirect: { response_code: 'FOUND', scheme_redirect: 'http', port_redirect: 81, prefix_rewrite: '/' },
    },
  ])
  expect(decoded(table, typeUrls.cluster)).toEqual({})
  // A redirect is a contribution too, so it can be excluded.
  expect([...(table?.resources.get(typeUrls.route)?.get('edge:HTTP:8080:*')?.contributions?.keys() ?? [])]).toEqual([
    'global/MeshGatewayRoute/default/r',
  ])
})

const expressions = [
  ...['/a.*', '(?i)/A', '(?:a|b)+?', '[[:alpha:]]', '\\pL', '\\p{Greek}', '\\PN', '(?P<n>x)', '(?<n>x)', '\\Qa.b\\E'],
  ...['\\x{ff}', '\\x41', '\\012', '(?s).', '(?U)a+', 'a{,5}', 'a{2,}', '^*', 'a$b', '\\z', 'ü', '(a{30}){30}'],
  ...[
    '(?=a)',
    '(?<!a)b',
    '(?>a)',
    '\\1',
    '\\Z',
    '\\x{100}',
    '\\p{Alphabetic}',
    '\\p{LC}',
    '\\p{Cn}',
    'a**',
    '[',
    '(',
    '\\',
  ],
  ...['a{1001}', '(a{100}){100}', '\\u00e4', '[a-\\d]', '(?P=n)', '\\pX', '[[:foo:]]', '*', 'a{1000}'.repeat(9)],
]
const values = [
  ...['a', 'ü', 'a\tb', '%%', '100%%', '%REQ(X?Y):3%', '%RESP(a-b)%', '%START_TIME(%Y-%m)%', '%PROTOCOL%%HOSTNAME%'],
  ...[
    '%',
    '%%%',
    'a%b%c',
    '%X%',
    '% %',
    '%protocol%',
    '%REQ%',
    '%REQ()%',
    '%REQ(a?b?c)%',
    '%REQ(a):x%',
    '%PROTOCOL:3%',
  ],
  ...['a\nb', 'a\rb', 'a\u0000b', '%CEL(', '%COALESCE(1)%', 'x'.repeat(16_384), 'x'.repeat(16_385)],
]
const names = ['a', 'x-envoy-a', 'Server', 'a_b', "!#$%&'*+.^`|~", ':path', 'host', 'a b', 'a\nb', 'ü', 'a:b', '\u0000']
const paths = ['/', '/a', '/a%20b', '/a\\1', '/ä', '/a;b=c', 'a', '', '/a b', '/a\n', '/a?b']

const strange: readonly object[] = [
  ...expressions.flatMap((value) => [
    { matches: [{ path: { match: 'REGEX', value } }], backends },
    { matches: [{ headers: [{ name: 'a', match: 'REGEX', value }] }], backends },
    { matches: [{ queryParameters: [{ name: 'a', match: 'REGEX', value }] }], backends },
  ]),
  ...values.flatMap((value) => [
    { matches: [all], filters: [{ requestHeader: { set: [{ name: 'a', value }] } }], backends },
    { matches: [all], filters: [{ responseHeader: { add: [{ name: 'a', value }] } }], backends },
    { matches: [all], filters: [{ requestHeader: { set: [{ name: 'Host', value }] } }], backends },
    { matches: [{ headers: [{ name: 'a', value }] }], backends },
  ]),
  ...names.flatMap((name) => [
    ...(['requestHeader', 'responseHeader'] as const).flatMap((side) => [
      { matches: [all], filters: [{ [side]: { set: [{ name, value: 'v' }] } }], backends },
      { matches: [all], filters: [{ [side]: { add: [{ name, value: 'v' }] } }], backends },
      { matches: [all], filters: [{ [side]: { remove: [name] } }], backends },
    ]),
    { matches: [{ headers: [{ name, match: 'PRESENT' }] }], backends },
    { matches: [{ queryParameters: [{ name, value: 'v' }] }], backends },
  ]),
  ...paths.flatMap((path) => [
    { matches: [{ path: { value: path } }, { path: { match: 'PREFIX', value: path } }], backends },
    { matches: [all], filters: [{ rewrite: { replaceFull: path } }], backends },
    { matches: [all], filters: [{ rewrite: { replacePrefixMatch: path } }], backends },
    { matches: [all], filters: [{ redirect: { statusCode: 303, path: { replaceFull: path } } }] },
    { matches: [all], filters: [{ redirect: { statusCode: 308, path: { replacePrefixMatch: path } } }] },
  ]),
  { matches: [{ method: 'CONNECT' }], filters: [{ rewrite: { replaceFull: '/x' } }], backends },
  { matches: [{ method: 'CONNECT' }], filters: [{ redirect: { statusCode: 301, path: { replaceFull: '/x' } } }] },
  { matches: [all], filters: [{ mirror: { percentage: 99.9999, backend: backends[0] } }], backends },
  { matches: [all], backends: [0, 0].map((weight) => ({ ...backends[0], weight })) },
  { matches: [all], backends: ['a', 'b'].map((name) => ({ destination: { 'kuma.io/service': name } })) },
]
const accepted = strange.filter(
  (rule) => admit({ type: 'MeshGatewayRoute', mesh: 'default', name: 'r', ...httpRoute([rule]) }).ok,
)

/** One line for each route table that a real Envoy refuses. */
function refusals(tables: readonly unknown[]): string {
  const folder = mkdtempSync(join(tmpdir(), 'zonemesh-routes-'))
  const listeners = tables.map((table, index) => withTable(table, 21_000 + index))
  // The same limits as in the zone's bootstrap.
  const limits = { 're2.max_program_size.error_level': 4294967295, 're2.max_program_size.warn_level': 4294967295 }
  const bootstrap = {
    layered_runtime: { layers: [{ name: 'kuma', static_layer: limits }] },
    static_resources: { listeners },
  }
  try {
    const file = join(folder, 'bootstrap.json')
    writeFileSync(file, JSON.stringify(bootstrap))
    const run = spawnSync(binary ?? '', ['--mode', 'validate', '-c', file, '-l', 'error'], { encoding: 'utf8' })
    return run.status === 0 ? '' : `${run.status} ${run.stderr}`
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

test('GW12 Envoy accepts everything that admission accepts', () => {
  expect({ strange: strange.length, accepted: accepted.length }).toEqual({ strange: 396, accepted: 226 })
  const { json, table } = compiled(accepted)
  expect(table?.problems).toEqual([])
  expect(routesOf(json).length).toBeGreaterThanOrEqual(accepted.length)
  expect(refusals([json])).toBe('')
})
