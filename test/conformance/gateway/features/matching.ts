import { exact, type Feature, header, prefix, regex, rule, v1, v2, v3 } from '../feature.ts'

// Which rule a request meets. The lists follow the HTTPRoute cases of the Kubernetes Gateway API suite of the same names.

const version = (value: string) => ({ headers: [header('version', value)] })
const color = (value: string) => ({ headers: [header('color', value)] })
const query = (name: string, value: string, match = 'EXACT') => ({ name, value, match })

export const matching: readonly Feature[] = [
  {
    name: 'simple',
    routes: [{ http: [rule(prefix('/'), v1)] }],
    cases: [
      { path: '/', to: v1 },
      { path: '/any/path?with=query', to: v1 },
      { method: 'POST', path: '/', to: v1 },
    ],
  },
  {
    name: 'matching',
    routes: [
      {
        http: [
          { matches: [prefix('/'), version('one')], backends: [{ to: v1 }] },
          { matches: [prefix('/v2'), version('two')], backends: [{ to: v2 }] },
        ],
      },
    ],
    cases: [
      { path: '/', to: v1 },
      { path: '/example', to: v1 },
      { path: '/', headers: { Version: 'one' }, to: v1 },
      { path: '/v2', to: v2 },
      { path: '/v2/example', to: v2 },
      { path: '/', headers: { Version: 'two' }, to: v2 },
      { path: '/v2/', to: v2 },
      { path: '/v2example', to: v1 },
      { path: '/foo/v2/example', to: v1 },
      { path: '/v2?x=1', to: v2 },
    ],
  },
  {
    name: 'matching-across-routes',
    routes: [
      {
        hostnames: ['example.com', 'example.net'],
        http: [{ matches: [prefix('/'), version('one')], backends: [{ to: v1 }] }],
      },
      { hostnames: ['example.com'], http: [{ matches: [prefix('/v2'), version('two')], backends: [{ to: v2 }] }] },
    ],
    cases: [
      { host: 'example.com', path: '/', to: v1 },
      { host: 'example.com', path: '/example', to: v1 },
      { host: 'example.net', path: '/example', to: v1 },
      { host: 'example.com', path: '/example', headers: { Version: 'one' }, to: v1 },
      { host: 'example.com', path: '/v2', to: v2 },
      { host: 'example.net', path: '/v2', to: v1 },
      { host: 'example.com', path: '/v2/example', to: v2 },
      { host: 'example.com', path: '/', headers: { Version: 'two' }, to: v2 },
      { host: 'EXAMPLE.com', path: '/v2', to: v2 },
      { host: 'example.org', path: '/', status: 404 },
    ],
  },
  {
    name: 'exact-path',
    routes: [{ http: [rule(exact('/one'), v1), rule(exact('/two'), v2)] }],
    cases: [
      { path: '/one', to: v1 },
      { path: '/two', to: v2 },
      { path: '/one?x=y', to: v1 },
      { path: '/', status: 404 },
      { path: '/one/example', status: 404 },
      { path: '/two/', status: 404 },
      { path: '/Two', status: 404 },
    ],
  },
  {
    name: 'path-order',
    routes: [
      {
        http: [
          rule(exact('/match'), v1),
          rule(exact('/match/exact'), v2),
          rule(exact('/match/exact/one'), v3),
          rule(prefix('/match/'), v3),
          rule(prefix('/match/prefix/'), v1),
          rule(prefix('/match/prefix/one'), v2),
        ],
      },
    ],
    cases: [
      { path: '/match/exact/one', to: v3 },
      { path: '/match/exact', to: v2 },
      { path: '/match', to: v1 },
      { path: '/match/prefix/one/any', to: v2 },
      { path: '/match/prefix/any', to: v1 },
      { path: '/match/any', to: v3 },
      { path: '/match/prefix/one', to: v2 },
      { path: '/match/prefix', to: v1 },
      { path: '/match/prefix/only', to: v1 },
      { path: '/other', status: 404 },
    ],
  },
  {
    name: 'regex-path',
    routes: [
      {
        http: [
          rule(regex('/items/[0-9]+'), v1),
          rule(regex('/items/.*'), v2),
          rule(prefix('/items/special'), v3),
          rule(exact('/items/7'), v3),
        ],
      },
    ],
    cases: [
      { path: '/items/12', to: v1 },
      { path: '/items/12?page=2', to: v1 },
      { path: '/items/special', to: v3 },
      { path: '/items/special/9', to: v3 },
      { path: '/items/7', to: v3 },
      { path: '/items/12/x', to: v2 },
      { path: '/items', status: 404 },
    ],
  },
  {
    name: 'exact-with-criteria',
    // An exact path with further criteria must not hide the prefix of the same path.
    routes: [
      { http: [rule({ ...exact('/shop'), headers: [header('x-beta', 'yes')] }, v2), rule(prefix('/shop'), v1)] },
    ],
    cases: [
      { path: '/shop', headers: { 'x-beta': 'yes' }, to: v2 },
      { path: '/shop', to: v1 },
      { path: '/shop/', headers: { 'x-beta': 'yes' }, to: v1 },
      { path: '/shop/cart', to: v1 },
      { path: '/shopping', status: 404 },
    ],
  },
  {
    name: 'headers',
    routes: [
      {
        http: [
          rule(version('one'), v1),
          rule(version('two'), v2),
          rule({ headers: [header('version', 'two'), header('color', 'orange')] }, v1),
          { matches: [color('blue'), color('green')], backends: [{ to: v1 }] },
          { matches: [color('red'), color('yellow')], backends: [{ to: v2 }] },
        ],
      },
    ],
    cases: [
      { path: '/', headers: { Version: 'one' }, to: v1 },
      { path: '/', headers: { Version: 'two' }, to: v2 },
      { path: '/', headers: { Version: 'two', Color: 'orange' }, to: v1 },
      { path: '/', headers: { Version: 'two', Color: 'blue' }, to: v2 },
      { path: '/', headers: { Color: 'orange' }, status: 404 },
      { path: '/', headers: { 'Some-Other-Header': 'one' }, status: 404 },
      { path: '/', headers: { Color: 'blue' }, to: v1 },
      { path: '/', headers: { Color: 'green' }, to: v1 },
      { path: '/', headers: { Color: 'red' }, to: v2 },
      { path: '/', headers: { Color: 'yellow' }, to: v2 },
      { path: '/', headers: { Color: 'purple' }, status: 404 },
    ],
  },
  {
    name: 'header-kinds',
    routes: [
      {
        http: [
          rule({ ...prefix('/regex'), headers: [header('x-id', '[a-f0-9]{4}', 'REGEX')] }, v1),
          rule({ ...prefix('/present'), headers: [{ name: 'x-any', match: 'PRESENT' }] }, v2),
          rule({ ...prefix('/absent'), headers: [{ name: 'x-debug', match: 'ABSENT' }] }, v3),
        ],
      },
    ],
    cases: [
      { path: '/regex', headers: { 'x-id': 'beef' }, to: v1 },
      { path: '/regex', headers: { 'x-id': 'beef5' }, status: 404 },
      { path: '/regex', headers: { 'x-id': 'a-beef' }, status: 404 },
      { path: '/regex', status: 404 },
      { path: '/present', headers: { 'x-any': 'thing' }, to: v2 },
      { path: '/present', headers: { 'x-any': '' }, to: v2 },
      { path: '/present', status: 404 },
      { path: '/absent', to: v3 },
      { path: '/absent', headers: { 'x-debug': '1' }, status: 404 },
    ],
  },
  {
    name: 'methods',
    routes: [
      {
        http: [
          rule({ method: 'POST' }, v1),
          rule({ method: 'GET' }, v2),
          rule({ ...prefix('/path1'), method: 'GET' }, v1),
          rule({ ...version('one'), method: 'PUT' }, v2),
          rule({ ...prefix('/path2'), ...version('two'), method: 'POST' }, v3),
          {
            matches: [
              { ...prefix('/path3'), method: 'PATCH' },
              { ...prefix('/path4'), ...version('three'), method: 'DELETE' },
            ],
            backends: [{ to: v1 }],
          },
          rule(prefix('/path5'), v1),
          rule({ method: 'PATCH' }, v2),
          rule(version('four'), v3),
        ],
      },
    ],
    cases: [
      { method: 'POST', path: '/', to: v1 },
      { method: 'GET', path: '/', to: v2 },
      { method: 'HEAD', path: '/', status: 404 },
      { method: 'GET', path: '/path1', to: v1 },
      { method: 'PUT', path: '/', headers: { version: 'one' }, to: v2 },
      { method: 'POST', path: '/path2', headers: { version: 'two' }, to: v3 },
      { method: 'PATCH', path: '/path3', to: v1 },
      { method: 'DELETE', path: '/path4', headers: { version: 'three' }, to: v1 },
      { method: 'PUT', path: '/', status: 404 },
      { method: 'DELETE', path: '/path4', status: 404 },
      { method: 'PATCH', path: '/path5', to: v1 },
      { method: 'PATCH', path: '/', headers: { version: 'four' }, to: v2 },
      { method: 'OPTIONS', path: '/', headers: { version: 'four' }, to: v3 },
    ],
  },
  {
    name: 'queries',
    routes: [
      {
        http: [
          rule({ queryParameters: [query('animal', 'whale')] }, v1),
          rule({ queryParameters: [query('animal', 'dolphin')] }, v2),
          {
            matches: [
              { queryParameters: [query('animal', 'dolphin'), query('color', 'blue')] },
              { queryParameters: [query('ANIMAL', 'Whale')] },
            ],
            backends: [{ to: v3 }],
          },
          rule({ ...prefix('/path1'), queryParameters: [query('animal', 'whale')] }, v1),
          rule({ ...version('one'), queryParameters: [query('animal', 'whale')] }, v2),
          rule({ ...prefix('/path2'), ...version('two'), queryParameters: [query('animal', 'whale')] }, v3),
          {
            matches: [
              { ...prefix('/path3'), queryParameters: [query('animal', 'shark')] },
              { ...prefix('/path4'), ...version('three'), queryParameters: [query('animal', 'kraken')] },
            ],
            backends: [{ to: v1 }],
          },
          rule(prefix('/path5'), v1),
          rule({ queryParameters: [query('animal', 'hydra')] }, v2),
          rule(version('four'), v3),
          rule({ ...prefix('/regex'), queryParameters: [query('id', '[0-9]+', 'REGEX')] }, v2),
        ],
      },
    ],
    cases: [
      { path: '/?animal=whale', to: v1 },
      { path: '/?animal=dolphin', to: v2 },
      { path: '/?animal=dolphin&color=blue', to: v3 },
      { path: '/?ANIMAL=Whale', to: v3 },
      { path: '/?animal=whale&otherparam=irrelevant', to: v1 },
      { path: '/?animal=dolphin&color=yellow', to: v2 },
      { path: '/?color=blue', status: 404 },
      { path: '/?animal=dog', status: 404 },
      { path: '/?animal=whaledolphin', status: 404 },
      { path: '/', status: 404 },
      { path: '/path1?animal=whale', to: v1 },
      { path: '/?animal=whale', headers: { version: 'one' }, to: v2 },
      { path: '/path2?animal=whale', headers: { version: 'two' }, to: v3 },
      { path: '/path3?animal=shark', to: v1 },
      { path: '/path4?animal=kraken', headers: { version: 'three' }, to: v1 },
      { path: '/?animal=shark', status: 404 },
      { path: '/path4?animal=kraken', status: 404 },
      { path: '/path5?animal=hydra', to: v1 },
      { path: '/?animal=hydra', headers: { version: 'four' }, to: v3 },
      { path: '/regex?id=42', to: v2 },
      { path: '/regex?id=x42', status: 404 },
      { path: '/regex?id=', status: 404 },
    ],
  },
]
