import type { ResourceKey } from '@zonemesh/shared/resource/resource.ts'
import { global, zoned } from './scene.ts'

/** A row that our admission would refuse, or a very unusual row that admission accepts. */
export interface Poison {
  readonly what: string
  readonly key: ResourceKey
  readonly spec: unknown
  /** The field that the reason names; undefined for a strange but valid row. */
  readonly field?: string
}

const megabyte = 'x'.repeat(1_000_000)
const deep = (depth: number): unknown => JSON.parse(`${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`)
const own = (text: string): unknown => JSON.parse(text)

/** Strange rows name services that no good row uses, so they affect no other proxy. */
const selector = (service = 'poison') => [{ match: { 'kuma.io/service': service } }]
const policy = (conf: unknown, service = 'poison') => ({
  sources: selector(service),
  destinations: selector(service),
  conf,
})
const route = (rules: unknown, service = 'poison', more: object = {}) => ({
  selectors: selector(service),
  conf: { http: { rules, ...more } },
})
const rule = (path: unknown, service = 'poison') => ({
  matches: [{ path }],
  backends: [{ weight: 1, destination: { 'kuma.io/service': service } }],
})
const inbound = (more: object = {}, tags: unknown = { 'kuma.io/service': 'poison' }) => ({
  networking: { address: '10.9.9.9', inbound: [{ port: 80, tags, ...more }] },
})

let number = 0
const named = (kind: string) => {
  number += 1
  return kind === 'Dataplane' ? zoned('east', kind, `poison-${number}`) : global(kind, `poison-${number}`)
}
const bad = (what: string, kind: string, spec: unknown, field: string): Poison => ({
  what,
  key: named(kind),
  spec,
  field,
})
const strange = (what: string, kind: string, spec: unknown): Poison => ({ what, key: named(kind), spec })

/** Bad rows name the same services as good rows. */
const edge = 'edge-gateway'

export const poisons: readonly Poison[] = [
  // The gateway and listener of the strange routes.
  strange('a gateway of strange routes', 'MeshGateway', {
    selectors: selector(),
    conf: { listeners: [{ port: 80, protocol: 'HTTP' }] },
  }),
  strange('its proxy', 'Dataplane', {
    networking: { address: '10.9.9.1', gateway: { type: 'BUILTIN', tags: { 'kuma.io/service': 'poison' } } },
  }),
  // Wrong types.
  bad('a number for networking', 'Dataplane', { networking: 5 }, 'networking'),
  bad('a list for networking', 'Dataplane', { networking: [] }, 'networking'),
  bad('a text for inbound', 'Dataplane', { networking: { address: '10.0.0.1', inbound: 'a' } }, 'networking.inbound'),
  bad(
    'a text for a port',
    'Dataplane',
    inbound({ port: '80' }, { 'kuma.io/service': 'a' }),
    'networking.inbound[0].port',
  ),
  bad('half a port', 'Dataplane', inbound({ port: 80.5 }, { 'kuma.io/service': 'a' }), 'networking.inbound[0].port'),
  bad(
    'a port that JSON cannot say',
    'Dataplane',
    inbound({ port: Number.NaN }, { 'kuma.io/service': 'a' }),
    'networking.inbound[0].port',
  ),
  bad('a number for tags', 'Dataplane', inbound({}, 7), 'networking.inbound[0].tags'),
  bad(
    'an object for a tag',
    'Dataplane',
    inbound({}, { 'kuma.io/service': { a: 1 } }),
    'networking.inbound[0].tags["kuma.io/service"]',
  ),
  bad(
    'a list for a tag',
    'Dataplane',
    inbound({}, { 'kuma.io/service': ['a'] }),
    'networking.inbound[0].tags["kuma.io/service"]',
  ),
  // A tag without a value has the empty text, which is the name of no service.
  strange('null for a tag', 'Dataplane', inbound({}, { 'kuma.io/service': null })),
  bad('a text for a spec', 'Timeout', 'all', 'spec'),
  bad('null for a spec', 'Timeout', null, 'spec'),
  bad('a list for a spec', 'Retry', [], 'spec'),
  bad('a number for selectors', 'MeshGatewayRoute', { selectors: 7, conf: {} }, 'selectors'),
  bad('a number for listeners', 'MeshGateway', { selectors: selector(edge), conf: { listeners: 4 } }, 'conf.listeners'),
  bad(
    'a text for a listener',
    'MeshGateway',
    { selectors: selector(edge), conf: { listeners: ['a'] } },
    'conf.listeners[0]',
  ),
  bad('a number for rules', 'MeshGatewayRoute', route(3, edge), 'conf.http.rules'),
  bad('a number for matches', 'MeshGatewayRoute', route([{ matches: 3 }], edge), 'conf.http.rules[0].matches'),
  bad(
    'a number for a path',
    'MeshGatewayRoute',
    route([rule({ match: 'PREFIX', value: 7 })], edge),
    'conf.http.rules[0].matches[0].path.value',
  ),
  bad(
    'a text for a weight',
    'MeshGatewayRoute',
    route(
      [
        {
          ...rule({ match: 'PREFIX', value: '/' }),
          backends: [{ weight: 'x', destination: { 'kuma.io/service': 'a' } }],
        },
      ],
      edge,
    ),
    'conf.http.rules[0].backends[0].weight',
  ),
  bad('a text for retries', 'Retry', policy({ http: { numRetries: 'many' } }, '*'), 'conf.http.numRetries'),
  bad('sources that are no list', 'TrafficPermission', { sources: 1, destinations: selector('*') }, 'sources'),
  strange('no destinations', 'TrafficPermission', { sources: selector('*') }),
  bad('a text for from', 'MeshTrafficPermission', { from: 'all' }, 'from'),
  // Enumerations, durations.
  bad(
    'an unknown kind of match',
    'MeshGatewayRoute',
    route([rule({ match: 'SUFFIX', value: '/' })], edge),
    'conf.http.rules[0].matches[0].path.match',
  ),
  bad(
    'an unknown protocol',
    'MeshGateway',
    { selectors: selector(edge), conf: { listeners: [{ port: 80, protocol: 'CARRIER_PIGEON' }] } },
    'conf.listeners[0].protocol',
  ),
  bad(
    'an unknown action',
    'MeshTrafficPermission',
    { from: [{ targetRef: { kind: 'Mesh' }, default: { action: 'Perhaps' } }] },
    'from[0].default.action',
  ),
  bad(
    'an unknown state',
    'Dataplane',
    inbound({ state: 'Asleep' }, { 'kuma.io/service': 'a' }),
    'networking.inbound[0].state',
  ),
  bad('no duration', 'Timeout', policy({ connectTimeout: 'soon' }, '*'), 'conf.connectTimeout'),
  bad('a duration of a megabyte', 'Timeout', policy({ connectTimeout: megabyte }, '*'), 'conf.connectTimeout'),
  // Sizes.
  bad(
    'a megabyte where a number stands',
    'Retry',
    policy({ http: { numRetries: megabyte } }, '*'),
    'conf.http.numRetries',
  ),
  strange('a megabyte for a path', 'MeshGatewayRoute', route([rule({ match: 'PREFIX', value: `/${megabyte}` })])),
  strange('a megabyte for a service', 'Dataplane', inbound({}, { 'kuma.io/service': megabyte })),
  strange(
    'ten thousand tags',
    'Dataplane',
    inbound(
      {},
      {
        'kuma.io/service': 'poison',
        ...Object.fromEntries(Array.from({ length: 10_000 }, (_unused, at) => [`t${at}`, 'v'])),
      },
    ),
  ),
  strange(
    'a huge pattern',
    'MeshGatewayRoute',
    route([rule({ match: 'REGEX', value: `(${'a?'.repeat(20_000)})${'a'.repeat(20_000)}` })]),
  ),
  strange(
    'a pattern that takes for ever elsewhere',
    'MeshGatewayRoute',
    route([rule({ match: 'REGEX', value: '(a+)+$' })]),
  ),
  strange('no pattern', 'MeshGatewayRoute', route([rule({ match: 'REGEX', value: '(((' })])),
  // Depths.
  bad(
    'objects in objects where a text stands',
    'Dataplane',
    { networking: { address: deep(5000) } },
    'networking.address',
  ),
  bad(
    'objects in objects for a tag',
    'Dataplane',
    inbound({}, { 'kuma.io/service': deep(3000) }),
    'networking.inbound[0].tags["kuma.io/service"]',
  ),
  strange('an unknown field, deep inside', 'Timeout', { ...policy({}), future: deep(3000) }),
  // Prototypes.
  strange(
    'an object as the __proto__ of tags',
    'Dataplane',
    own('{"networking":{"address":"10.9.9.7","inbound":[{"port":1,"tags":{"__proto__":{"kuma.io/service":"a"}}}]}}'),
  ),
  strange(
    '__proto__ as a tag',
    'Dataplane',
    own(
      '{"networking":{"address":"10.9.9.8","inbound":[{"port":80,"tags":{"kuma.io/service":"poison","__proto__":"x"}}]}}',
    ),
  ),
  strange('__proto__ as a service', 'Dataplane', inbound({}, { 'kuma.io/service': '__proto__' })),
  strange(
    'constructor as a service',
    'Dataplane',
    inbound({}, { 'kuma.io/service': 'constructor', toString: 'x', hasOwnProperty: 'y' }),
  ),
  strange('constructor as a field', 'Timeout', own('{"constructor":{"prototype":1},"sources":[],"destinations":[]}')),
  // Letters.
  strange(
    'unicode everywhere',
    'Dataplane',
    inbound({}, { 'kuma.io/service': 'päth-💥-\u202e\u0000', ключ: '\ud800' }),
  ),
  strange('a path with half a letter', 'MeshGatewayRoute', route([rule({ match: 'PREFIX', value: '/\ud83d' })])),
  strange('an empty service', 'Dataplane', inbound({}, { 'kuma.io/service': '' })),
  strange('an empty path', 'MeshGatewayRoute', route([rule({ match: 'PREFIX', value: '' })])),
  // References.
  strange(
    'a gateway that is its own backend',
    'MeshGatewayRoute',
    route([rule({ match: 'PREFIX', value: '/' }, 'poison')]),
  ),
  strange('a service that calls itself', 'Dataplane', {
    networking: { ...inbound().networking, outbound: [{ port: 1, tags: { 'kuma.io/service': 'poison' } }] },
  }),
  // Names.
  { what: 'an empty name', key: global('Timeout', ''), spec: policy({}, '*'), field: 'name' },
  { what: 'a name of two parts', key: global('Timeout', 'a/b'), spec: policy({}, '*'), field: 'name' },
  { what: 'an empty mesh', key: global('Timeout', 'poison-mesh', ''), spec: policy({}, '*'), field: 'mesh' },
  { what: 'an unknown kind', key: global('MeshHyperdrive', 'poison'), spec: { conf: deep(50) } },
  { what: 'a kind with the name of a function', key: global('constructor', 'poison'), spec: {} },
  // Rows that only planes write.
  {
    what: 'an announcement without tags',
    key: zoned('west', 'AvailableService', 'poison-1'),
    spec: { instances: 1 },
    field: 'tags',
  },
  {
    what: 'an announcement of half an instance',
    key: zoned('west', 'AvailableService', 'poison-2'),
    spec: { tags: { 'kuma.io/service': 'a' }, instances: 0.5 },
    field: 'instances',
  },
  {
    what: 'an ingress with a text for a port',
    key: zoned('west', 'ZoneIngress', 'poison', ''),
    spec: { networking: { advertisedAddress: '10.0.0.7', advertisedPort: 'x' } },
    field: 'networking.advertisedPort',
  },
  {
    what: 'an address without a number',
    key: zoned('east', 'VirtualAddress', 'poison-address'),
    spec: { number: 'x' },
    field: 'number',
  },
]
