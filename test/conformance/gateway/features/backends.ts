import { echo, exact, type Feature, prefix, v1, v2 } from '../feature.ts'

// Which backends get a request: tags, zones, unknown services.

const one = (tags: Readonly<Record<string, string>>) => [{ to: echo, tags }]

export const backends: readonly Feature[] = [
  {
    name: 'tags',
    routes: [
      {
        http: [
          { matches: [prefix('/a')], backends: one({ version: 'a' }) },
          { matches: [prefix('/b')], backends: one({ version: 'b' }) },
          { matches: [prefix('/c')], backends: one({ version: 'c' }) },
          { matches: [prefix('/east')], backends: one({ 'kuma.io/zone': 'east' }) },
          { matches: [prefix('/west-b')], backends: one({ 'kuma.io/zone': 'west', version: 'b' }) },
          { matches: [prefix('/east-b')], backends: one({ 'kuma.io/zone': 'east', version: 'b' }) },
          { matches: [prefix('/no-such-version')], backends: one({ version: 'z' }) },
        ],
      },
    ],
    cases: [
      { path: '/a', to: echo, version: 'a', zone: 'west' },
      { path: '/b', to: echo, version: 'b', zone: 'west' },
      { path: '/c', to: echo, version: 'c', zone: 'east' },
      { path: '/east', to: echo, zone: 'east' },
      { path: '/west-b', to: echo, zone: 'west', version: 'b' },
      { path: '/east-b', status: 503, body: 'no healthy upstream' },
      { path: '/no-such-version', status: 503, body: 'no healthy upstream' },
    ],
  },
  {
    name: 'unknown-backends',
    routes: [
      {
        http: [
          { matches: [prefix('/unknown')], backends: [{ to: 'nobody_demo_svc_80' }] },
          { matches: [prefix('/unresolved')], backends: [{ to: 'kuma.io/unresolved-backend' }] },
          { matches: [exact('/known')], backends: [{ to: v1 }] },
        ],
      },
    ],
    cases: [
      { path: '/unknown', status: 503, body: 'no healthy upstream' },
      { path: '/unresolved', status: 500 },
      { path: '/known', to: v1 },
      { path: '/no-route', status: 404, body: '' },
    ],
  },
  {
    name: 'zero-weights',
    routes: [
      {
        http: [
          {
            matches: [prefix('/one-zero')],
            backends: [
              { to: v1, weight: 1 },
              { to: v2, weight: 0 },
            ],
          },
          { matches: [prefix('/alone')], backends: [{ to: v2, weight: 0 }] },
        ],
      },
    ],
    cases: [...Array.from({ length: 8 }, () => ({ path: '/one-zero', to: v1 })), { path: '/alone', to: v2 }],
  },
  {
    name: 'no-routes',
    routes: [],
    cases: [{ path: '/', status: 404, body: 'This is a Kuma MeshGateway. No routes match this MeshGateway!\n' }],
  },
  {
    name: 'edge',
    // Processing before any route: names, paths and headers in the connection manager.
    routes: [{ http: [{ matches: [prefix('/')], backends: [{ to: v1 }] }] }],
    cases: [
      { path: '/', to: v1, answer: { headers: { server: 'Kuma Gateway' } } },
      { path: '/', headers: { under_score: '1' }, status: 400 },
      { path: '//double//slash', to: v1, asked: { path: '/double/slash' } },
      { path: '/a/./b/../c', to: v1, asked: { path: '/a/c' } },
      { path: '/a%2Fb', status: 307, location: '/a/b' },
      {
        path: '/',
        headers: { 'x-kuma-tags': '&kuma.io/service=forged&' },
        to: v1,
        asked: { without: ['x-kuma-tags'] },
      },
    ],
  },
]
