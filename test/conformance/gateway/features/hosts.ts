import { type Case, type Feature, prefix, rule, v1, v2, v3 } from '../feature.ts'

// Which listener and which route a host belongs to.

const hosts = (status: number, path: string, ...names: readonly string[]): Case[] =>
  names.map((host) => ({ host, path, status }))
const reaching = (to: string, path: string, ...names: readonly string[]): Case[] =>
  names.map((host) => ({ host, path, to }))

const isolated = [
  { host: 'bar.com', tag: 'empty-hostname' },
  { host: 'bar.example.com', tag: 'wildcard-example-com' },
  { host: 'bar.foo.example.com', tag: 'wildcard-foo-example-com' },
  { host: 'abc.foo.example.com', tag: 'abc-foo-example-com' },
]

export const hostFeatures: readonly Feature[] = [
  {
    name: 'hostname-intersection',
    listeners: [{ hostname: 'very.specific.com' }, { hostname: '*.wildcard.io' }, { hostname: '*.anotherwildcard.io' }],
    routes: [
      {
        hostnames: ['non.matching.com', '*.nonmatchingwildcard.io', 'very.specific.com'],
        http: [rule(prefix('/s1'), v1)],
      },
      {
        hostnames: ['non.matching.com', 'wildcard.io', 'foo.wildcard.io', 'bar.wildcard.io', 'foo.bar.wildcard.io'],
        http: [rule(prefix('/s2'), v2)],
      },
      { hostnames: ['non.matching.com', '*.specific.com'], http: [rule(prefix('/s3'), v3)] },
      { hostnames: ['*.anotherwildcard.io'], http: [rule(prefix('/s4'), v1)] },
      { hostnames: ['specific.but.wrong.com', 'wildcard.io'], http: [rule(prefix('/s5'), v2)] },
    ],
    cases: [
      ...reaching(v1, '/s1', 'very.specific.com'),
      ...reaching(v3, '/s3', 'very.specific.com'),
      ...hosts(404, '/s1', 'non.matching.com', 'foo.nonmatchingwildcard.io', 'foo.wildcard.io'),
      ...hosts(404, '/non-matching-prefix', 'very.specific.com'),
      ...reaching(v2, '/s2', 'foo.wildcard.io', 'bar.wildcard.io', 'foo.bar.wildcard.io'),
      ...hosts(404, '/s2', 'non.matching.com', 'wildcard.io', 'very.specific.com', 'baz.wildcard.io'),
      ...hosts(404, '/s3', 'non.matching.com', 'foo.specific.com', 'foo.wildcard.io'),
      ...reaching(v1, '/s4', 'one.anotherwildcard.io', 'one.two.three.anotherwildcard.io'),
      ...hosts(404, '/s4', 'anotherwildcard.io', 'foo.wildcard.io', 'very.specific.com'),
      ...hosts(404, '/s5', 'specific.but.wrong.com', 'wildcard.io', 'foo.wildcard.io'),
    ],
  },
  {
    name: 'hostname-intersection-all',
    routes: [
      { hostnames: ['first.com', 'sub.first.com', 'second.com', 'sub.second.com'], http: [rule(prefix('/'), v2)] },
    ],
    cases: [
      ...reaching(v2, '/', 'first.com', 'sub.first.com', 'second.com', 'sub.second.com'),
      ...hosts(404, '/', 'third.com', 'sub.third.com', 'other.first.com'),
    ],
  },
  {
    name: 'listener-hostname',
    listeners: [
      { hostname: 'bar.com', tag: 'one' },
      { hostname: 'foo.bar.com', tag: 'two' },
      { hostname: '*.bar.com', tag: 'three' },
      { hostname: '*.foo.com', tag: 'three' },
    ],
    routes: [
      { listener: 'one', http: [rule(prefix('/'), v1)] },
      { listener: 'two', http: [rule(prefix('/'), v2)] },
      { listener: 'three', http: [rule(prefix('/'), v3)] },
    ],
    cases: [
      ...reaching(v1, '/', 'bar.com'),
      ...reaching(v2, '/', 'foo.bar.com', 'FOO.bar.com'),
      ...reaching(v3, '/', 'baz.bar.com', 'boo.bar.com', 'multiple.prefixes.bar.com', 'multiple.prefixes.foo.com'),
      ...hosts(404, '/', 'foo.com', 'no.matching.host'),
      { host: 'bar.com:8080', path: '/', to: v1 },
    ],
  },
  {
    name: 'listener-isolation',
    listeners: [
      { tag: 'empty-hostname' },
      { hostname: '*.example.com', tag: 'wildcard-example-com' },
      { hostname: '*.foo.example.com', tag: 'wildcard-foo-example-com' },
      { hostname: 'abc.foo.example.com', tag: 'abc-foo-example-com' },
    ],
    routes: isolated.map(({ tag }) => ({ listener: tag, http: [rule(prefix(`/${tag}`), v1)] })),
    cases: isolated.flatMap(({ host, tag }) =>
      isolated.map(({ tag: other }) =>
        other === tag ? { host, path: `/${other}`, to: v1 } : { host, path: `/${other}`, status: 404 },
      ),
    ),
  },
  {
    name: 'listener-isolation-with-hostnames',
    // The same listeners, with routes of whose hostnames only some are in their listener.
    listeners: [
      { tag: 'empty-hostname' },
      { hostname: '*.example.com', tag: 'wildcard-example-com' },
      { hostname: '*.foo.example.com', tag: 'wildcard-foo-example-com' },
      { hostname: 'abc.foo.example.com', tag: 'abc-foo-example-com' },
    ],
    routes: isolated.map(({ tag }) => ({
      listener: tag,
      hostnames: isolated.map(({ host }) => host),
      http: [rule(prefix(`/${tag}`), v1)],
    })),
    cases: isolated.flatMap(({ host, tag }) =>
      isolated.map(({ tag: other }) =>
        other === tag ? { host, path: `/${other}`, to: v1 } : { host, path: `/${other}`, status: 404 },
      ),
    ),
  },
  {
    name: 'listener-port',
    listeners: [
      { at: 'a', hostname: 'foo.com', tag: 'port-a' },
      { at: 'b', hostname: 'foo.com', tag: 'port-b' },
      { at: 'b', hostname: 'bar.com', tag: 'port-b' },
      { at: 'c', hostname: 'foo.com', tag: 'foo-c' },
      { at: 'c', hostname: 'bar.com', tag: 'bar-c' },
    ],
    routes: [
      { listener: 'port-a', http: [rule(prefix('/'), v1)] },
      { listener: 'port-b', http: [rule(prefix('/'), v2)] },
      { listener: 'foo-c', http: [rule(prefix('/'), v3)] },
    ],
    cases: [
      { at: 'a', host: 'foo.com', path: '/', to: v1 },
      { at: 'b', host: 'foo.com', path: '/', to: v2 },
      { at: 'b', host: 'bar.com', path: '/', to: v2 },
      { at: 'c', host: 'foo.com', path: '/', to: v3 },
      { at: 'c', host: 'bar.com', path: '/', status: 404 },
      { at: 'a', host: 'bar.com', path: '/', status: 404 },
    ],
  },
  {
    name: 'generic-route',
    // A route without hostnames also applies to hosts that other routes of its listener name.
    routes: [
      { http: [rule(prefix('/generic'), v1), rule(prefix('/both'), v1)] },
      { hostnames: ['named.example'], http: [rule(prefix('/named'), v2), rule(prefix('/both'), v2)] },
      { hostnames: ['*.example'], http: [rule(prefix('/wild'), v3), rule(prefix('/both/wild'), v3)] },
    ],
    cases: [
      ...reaching(v1, '/generic', 'any.test', 'named.example', 'other.example'),
      ...reaching(v2, '/named', 'named.example'),
      ...hosts(404, '/named', 'any.test', 'other.example'),
      ...reaching(v3, '/wild', 'named.example', 'other.example', 'deep.other.example'),
      ...hosts(404, '/wild', 'any.test', 'example'),
      ...reaching(v1, '/both', 'any.test', 'other.example'),
      // The route with the more specific hostname comes first, regardless of the length of its path.
      ...reaching(v2, '/both/wild', 'named.example'),
      ...reaching(v3, '/both/wild', 'other.example'),
    ],
  },
]
