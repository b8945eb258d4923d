import { expect, test } from 'vitest'
import { admit } from '../../src/admit/admit.ts'

const backends = [{ destination: { 'kuma.io/service': 'echo' } }]
const prefix = { path: { match: 'PREFIX', value: '/p' } }

const document = (conf: object, selectors: readonly object[] = [{ match: { 'kuma.io/service': 'edge' } }]) => ({
  type: 'MeshGatewayRoute',
  mesh: 'default',
  name: 'r',
  selectors,
  conf,
})
const withRule = (rule: object) => document({ http: { rules: [rule] } })
const matching = (match: object) => withRule({ matches: [match], backends })
const filtering = (...filters: object[]) => withRule({ matches: [prefix], filters, backends })
const redirecting = (redirect: object, match: object = prefix) =>
  withRule({ matches: [match], filters: [{ redirect: { statusCode: 302, ...redirect } }] })
const named = (hostnames: readonly string[]) =>
  document({ http: { hostnames, rules: [{ matches: [prefix], backends }] } })
const setting = (name: string, value = 'v') => filtering({ requestHeader: { set: [{ name, value }] } })
const forwarding = (...targets: object[]) => withRule({ matches: [prefix], backends: targets })
const to = (weight: number, service = 'echo') => ({ weight, destination: { 'kuma.io/service': service } })

const at = 'conf.http.rules[0]'
const match0 = `${at}.matches[0]`
const filter0 = `${at}.filters[0]`

/** The case, the document, and all violations as `field: reason`. */
const refused: readonly [string, unknown, readonly (string | RegExp)[]][] = [
  ['no conf', { ...document({}), conf: undefined }, ['conf: cannot be empty']],
  ['neither http nor tcp', document({}), ['conf: cannot be empty']],
  [
    'both',
    document({ http: { rules: [{ matches: [prefix], backends }] }, tcp: { rules: [{ backends }] } }),
    ['conf: must have either http or tcp'],
  ],
  [
    'no selectors',
    document({ http: { rules: [{ matches: [prefix], backends }] } }, []),
    ['selectors: must have at least one element'],
  ],
  ['no rules', document({ http: {} }), ['conf.http.rules: cannot be empty']],
  ['no matches', withRule({ backends }), [`${at}.matches: cannot be empty`]],
  ['empty match', matching({}), [`${match0}: cannot be empty`]],
  ['method NONE only', matching({ method: 'NONE' }), [`${match0}: cannot be empty`]],
  ['relative path', matching({ path: { value: 'p' } }), [`${match0}.value: must be an absolute path`]],
  [
    'relative prefix',
    matching({ path: { match: 'PREFIX', value: '' } }),
    [`${match0}.value: must be an absolute path`],
  ],
  ['empty regex', matching({ path: { match: 'REGEX' } }), [`${match0}.value: cannot be empty`]],
  [
    'look-ahead',
    matching({ path: { match: 'REGEX', value: '/(?=x)' } }),
    [/^conf\.http\.rules\[0\]\.matches\[0\]\.value: must be a regular expression of RE2: .*`\(\?=`/],
  ],
  [
    'too large a regex',
    matching({ path: { match: 'REGEX', value: 'a{1000}'.repeat(11) } }),
    [/instructions, found 11002$/],
  ],
  [
    'too long a regex',
    matching({ path: { match: 'REGEX', value: 'a'.repeat(5000) } }),
    [/at most 4096 characters, found 5000$/],
  ],
  [
    'a class that only others know',
    matching({ path: { match: 'REGEX', value: '/\\p{Alphabetic}' } }),
    [/invalid character class range: `\\p\{Alphabetic\}`/],
  ],
  [
    'more than a byte',
    matching({ path: { match: 'REGEX', value: '/\\x{100}' } }),
    [/invalid escape sequence: `\\x\{100\}`/],
  ],
  [
    'CONNECT with a path',
    matching({ method: 'CONNECT', path: { value: '/x' } }),
    [`${match0}.value: cannot be used with method CONNECT, which has no path`],
  ],
  [
    'headers',
    matching({
      headers: [
        { value: 'x' },
        { name: 'a' },
        { name: 'a', match: 'REGEX' },
        { name: 'a', match: 'PRESENT', value: 'x' },
        { name: 'a', match: 'ABSENT', value: 'x' },
        { name: 'a', match: 'REGEX', value: '(' },
        { name: 'a b', value: 'x' },
        { name: ':other', value: 'x' },
        { name: 'a', value: 'x\ny' },
      ],
    }),
    [
      `${match0}.headers[0].name: cannot be empty`,
      `${match0}.headers[1].value: cannot be empty`,
      `${match0}.headers[2].value: cannot be empty`,
      `${match0}.headers[3].value: cannot be set`,
      `${match0}.headers[4].value: cannot be set`,
      /headers\[5\]\.value: must be a regular expression of RE2/,
      `${match0}.headers[6].name: must be the name of a header, found "a b"`,
      `${match0}.headers[7].name: must be the name of a header, found ":other"`,
      `${match0}.headers[8].value: must not have control characters`,
    ],
  ],
  [
    'query parameters, in snake case',
    matching({
      queryParameters: [
        { value: 'x' },
        { name: 'a' },
        { name: 'a', match: 'REGEX', value: '[' },
        { name: 'a'.repeat(1025), value: 'x' },
      ],
    }),
    [
      `${match0}.query_parameters[0].name: cannot be empty`,
      `${match0}.query_parameters[1].value: cannot be empty`,
      /query_parameters\[2\]\.value: must be a regular expression of RE2/,
      `${match0}.query_parameters[3].name: must have at most 1024 bytes`,
    ],
  ],
  ['no backends', withRule({ matches: [prefix] }), [`${at}.backends: cannot be empty`]],
  ['no destination', forwarding({ weight: 1 }), [`${at}.backends[0]: must have at least one tag`]],
  [
    'no service',
    forwarding({ destination: { a: 'b' } }),
    [`${at}.backends[0]: mandatory tag "kuma.io/service" is missing`],
  ],
  [
    'a bad tag',
    forwarding({ destination: { 'kuma.io/service': 'a b' } }),
    [/^conf\.http\.rules\[0\]\.backends\[0\]\["kuma.io\/service"\]: tag value must consist of/],
  ],
  [
    'weights beyond what Envoy counts',
    forwarding(to(4_294_967_295, 'a'), to(1, 'b')),
    [`${at}.backends: the sum of weights must be at most 4294967295, found 4294967296`],
  ],
  ['a negative weight', forwarding(to(-1)), [/backends\[0\]\.weight: /]],
  [
    'two filters in one',
    filtering({ requestHeader: { remove: ['a'] }, responseHeader: { remove: ['a'] } }),
    [`${filter0}: must have exactly one filter`],
  ],
  ['an empty filter', filtering({}), [`${filter0}: must have exactly one filter`]],
  [
    'a header filter that does nothing',
    filtering({ requestHeader: {} }, { responseHeader: { set: [] } }),
    [`${filter0}.request_header: cannot be empty`, `${at}.filters[1].response_header: cannot be empty`],
  ],
  [
    'header names and values',
    filtering({
      requestHeader: {
        set: [{ value: 'v' }, { name: 'a' }],
        add: [
          { name: 'host', value: 'v' },
          { name: 'x:y', value: 'v' },
        ],
        remove: ['', 'Host', ':path', 'a b'],
      },
    }),
    [
      `${filter0}.request_header.set[0].name: cannot be empty`,
      `${filter0}.request_header.set[1].value: cannot be empty`,
      `${filter0}.request_header.add[0].name: header "host" cannot be added`,
      `${filter0}.request_header.add[1].name: must be the name of a header, found "x:y"`,
      `${filter0}.request_header.remove[0]: cannot be empty`,
      `${filter0}.request_header.remove[1]: header "Host" cannot be removed`,
      `${filter0}.request_header.remove[2]: header ":path" cannot be removed`,
      `${filter0}.request_header.remove[3]: must be the name of a header, found "a b"`,
    ],
  ],
  ['a pseudo header', setting(':method'), [`${filter0}.request_header.set[0].name: header ":method" cannot be set`]],
  [
    'a space in Host',
    setting('Host', 'a b'),
    [`${filter0}.request_header.set[0].value: must not have spaces or control characters`],
  ],
  [
    'a line break',
    setting('x', 'a\r\nb'),
    [`${filter0}.request_header.set[0].value: must not have control characters`],
  ],
  ['half a command', setting('x', '50%'), [/set\[0\]\.value: has a "%" at 2 that begins none/]],
  ['a command that reads the environment', setting('x', '%ENVIRONMENT(HOME)%'), [/has a "%" at 0/]],
  ['a command that crashes Envoy', setting('x', '%COALESCE(1)%'), [/has a "%" at 0/]],
  ['an unknown command', setting('x', 'a %NOTHING% b'), [/has a "%" at 2/]],
  [
    'Host in a response',
    filtering({ responseHeader: { set: [{ name: 'Host', value: 'x' }] } }),
    [`${filter0}.response_header.set[0].name: header "Host" cannot be set`],
  ],
  [
    'more headers than Envoy takes',
    filtering({
      requestHeader: { add: Array.from({ length: 1001 }, (_unused, one) => ({ name: `x-${one}`, value: 'v' })) },
    }),
    [`${at}.filters: must change at most 1000 headers`],
  ],
  [
    'Host twice; indexes without the filter that rewrites it',
    filtering({ rewrite: { hostToBackendHostname: true } }, { requestHeader: { set: [{ name: 'Host', value: 'x' }] } }),
    [
      `${filter0}.request_header.set[0]: cannot modify 'Host' header, when route has set 'rewrite.host_to_backend_hostname' option`,
    ],
  ],
  [
    'mirror without anything',
    filtering({ mirror: {} }),
    [`${filter0}.mirror.percentage: cannot be empty`, `${filter0}.mirror.backend: cannot be empty`],
  ],
  [
    'mirror out of range',
    filtering({ mirror: { percentage: 100.1, backend: backends[0] } }),
    [`${filter0}.mirror.percentage: has to be in [0.0 - 100.0] range`],
  ],
  [
    'mirror without a service',
    filtering({ mirror: { percentage: 1, backend: { destination: { a: 'b' } } } }),
    [`${filter0}.mirror.backend: mandatory tag "kuma.io/service" is missing`],
  ],
  [
    'a prefix that nothing has matched',
    withRule({ matches: [{ path: { value: '/p' } }], filters: [{ rewrite: { replacePrefixMatch: '/x' } }], backends }),
    [`${filter0}.rewrite.replacePrefixMatch: cannot be used without a match on path prefix`],
  ],
  [
    'two paths',
    filtering({ rewrite: { replaceFull: '/a', replacePrefixMatch: '/b' } }),
    [`${filter0}.rewrite: must have either replaceFull or replacePrefixMatch`],
  ],
  [
    'relative paths',
    filtering({ rewrite: { replaceFull: '' } }, { rewrite: { replacePrefixMatch: 'x' } }),
    [
      `${filter0}.rewrite.replaceFull: must be an absolute path`,
      `${at}.filters[1].rewrite.replacePrefixMatch: must be an absolute path`,
    ],
  ],
  [
    'a query where that of the request follows',
    filtering({ rewrite: { replaceFull: '/a?b' } }),
    [`${filter0}.rewrite.replaceFull: must not have a query or a fragment`],
  ],
  [
    'a space in a path',
    filtering({ rewrite: { replaceFull: '/a b' } }),
    [`${filter0}.rewrite.replaceFull: must not have spaces or control characters`],
  ],
  [
    'no status',
    redirecting({ statusCode: undefined }),
    [`${filter0}.redirect.status_code: must be in the range [300, 308]`],
  ],
  [
    'a status of success',
    redirecting({ statusCode: 200 }),
    [`${filter0}.redirect.status_code: must be in the range [300, 308]`],
  ],
  [
    'a status that Envoy has not',
    redirecting({ statusCode: 304 }),
    [`${filter0}.redirect.status_code: redirect status code 304 is not supported`],
  ],
  ['a port', redirecting({ port: 70_000 }), [`${filter0}.redirect.port: port must be in the range [1, 65535]`]],
  [
    'another scheme',
    redirecting({ scheme: 'ftp' }),
    [`${filter0}.redirect.scheme: must be "http" or "https", found "ftp"`],
  ],
  [
    'a host with a port',
    redirecting({ hostname: 'a.example:80' }),
    [`${filter0}.redirect.hostname: invalid hostname "a.example:80"`],
  ],
  [
    'a prefix in a redirect that nothing has matched',
    redirecting({ path: { replacePrefixMatch: '/x' } }, { method: 'GET' }),
    [`${filter0}.redirect.path.replacePrefixMatch: cannot be used without a match on path prefix`],
  ],
  [
    'two paths in a redirect',
    redirecting({ path: { replaceFull: '/a', replacePrefixMatch: '/b' } }),
    [`${filter0}.redirect.path: must have either replaceFull or replacePrefixMatch`],
  ],
  [
    'redirect and more',
    withRule({ matches: [prefix], filters: [{ redirect: { statusCode: 301 } }, { requestHeader: { remove: ['a'] } }] }),
    [`${at}.filters: redirects cannot be used with other filters`],
  ],
  [
    'redirect with backends',
    withRule({ matches: [prefix], filters: [{ redirect: { statusCode: 301 } }], backends }),
    [`${at}.backends: must be empty when using redirect filters`],
  ],
  [
    'hostnames',
    named(['a.example', 'a..b', '*a.b', 'A.example', 'a.example', '', `${'a.'.repeat(130)}b`]),
    [
      'conf.http.hostnames[1]: invalid hostname',
      'conf.http.hostnames[2]: invalid wildcard domain',
      'conf.http.hostnames[3]: invalid hostname',
      'conf.http.hostnames[4]: is the same as conf.http.hostnames[0]',
      'conf.http.hostnames[5]: cannot be empty',
      'conf.http.hostnames[6]: must be at most 253 characters',
    ],
  ],
  ['tcp without anything', document({ tcp: {} }), ['conf.tcp.rules: cannot be empty']],
  ['tcp without backends', document({ tcp: { rules: [{}] } }), ['conf.tcp.rules[0].backends: cannot be empty']],
  [
    'tcp without a service',
    document({ tcp: { rules: [{ backends: [{ destination: { a: 'b' } }] }] } }),
    ['conf.tcp.rules[0].backends[0]: mandatory tag "kuma.io/service" is missing'],
  ],
]

test.each(refused)('A13 admission refuses a MeshGatewayRoute: %s', (_title, input, expected) => {
  const result = admit(input)
  const found = result.ok ? [] : result.error.violations.map(({ field, reason }) => `${field}: ${reason}`)
  expect(found).toEqual(expected.map((one) => (typeof one === 'string' ? one : expect.stringMatching(one))))
})

test.each<[string, unknown]>([
  [
    'every match',
    matching({
      ...prefix,
      method: 'TRACE',
      headers: [
        { name: ':authority', match: 'REGEX', value: '.*' },
        { name: 'X_y', match: 'ABSENT' },
      ],
      queryParameters: [{ name: 'q', match: 'REGEX', value: '\\d+' }],
    }),
  ],
  ['CONNECT', matching({ method: 'CONNECT' })],
  ['all weights 0', forwarding(to(0, 'a'), to(0, 'b'))],
  ['the same match twice', withRule({ matches: [prefix, prefix], backends })],
  [
    'every header filter',
    filtering(
      {
        requestHeader: {
          set: [
            { name: ':authority', value: 'h' },
            { name: 'x-envoy-y', value: '100%% %REQ(:path?x-p):10% %START_TIME(%s)%' },
          ],
          add: [{ name: 'a', value: 'ü\t%PROTOCOL%%CONNECTION_ID%' }],
          remove: ['b'],
        },
      },
      { responseHeader: { set: [{ name: 'server', value: 'x' }], remove: ['c'] } },
    ),
  ],
  [
    'mirrors',
    filtering(
      { mirror: { percentage: 0, backend: backends[0] } },
      { mirror: { percentage: 0.001, backend: backends[0] } },
    ),
  ],
  [
    'rewrites',
    filtering({ rewrite: { replacePrefixMatch: '' } }, { rewrite: { replaceFull: '/x', hostToBackendHostname: true } }),
  ],
  [
    'redirects',
    redirecting({ scheme: 'HTTPS', hostname: 'Other.example', port: 8443, path: { replaceFull: '/x?y#z' } }),
  ],
  ['redirects to an address', redirecting({ hostname: '[::1]', path: { replacePrefixMatch: '/' } })],
  ['what protobuf leaves out', redirecting({ scheme: '', hostname: '', port: 0, path: {} })],
  ['hostnames', named(['*', '*.example', 'a.example'])],
])('A13 admission accepts a MeshGatewayRoute without a warning: %s', (_title, input) => {
  expect(admit(input)).toMatchObject({ ok: true, value: { warnings: [] } })
})
