import { expect, test } from 'vitest'
import { admit } from '../../src/admit/admit.ts'

const gateway = (listener: object) => ({
  type: 'MeshGateway',
  mesh: 'default',
  name: 'edge',
  selectors: [{ match: { 'kuma.io/service': 'edge' } }],
  conf: { listeners: [listener] },
})
const route = (rule: object) => ({
  type: 'MeshGatewayRoute',
  mesh: 'default',
  name: 'r',
  selectors: [{ match: { 'kuma.io/service': 'edge' } }],
  conf: { http: { rules: [rule] } },
})
const backends = [{ destination: { 'kuma.io/service': 'echo' } }]
const dataplane = (networking: object) => ({ type: 'Dataplane', mesh: 'default', name: 'dp', networking })

const refused: readonly [string, unknown, string, RegExp][] = [
  ['no object', [], '', /expected an object/],
  ['no type', { name: 'x' }, 'type', /cannot be empty/],
  ['unknown kind', { type: 'MeshGatewayRout', name: 'x' }, 'type', /did you mean "MeshGatewayRoute"/],
  ['internal kind', { type: 'MeshRoot', name: 'x' }, 'type', /unknown kind/],
  ['no mesh', { type: 'MeshGateway', name: 'x', selectors: [] }, 'mesh', /cannot be empty/],
  ['bad name', { type: 'Mesh', name: 'Über' }, 'name', /invalid characters/],
  ['unknown field', { type: 'Mesh', name: 'm', mtsl: {} }, 'mtsl', /did you mean "mtls"/],
  ['unknown nested field', gateway({ prot: 80, protocol: 'HTTP' }), 'conf.listeners[0].prot', /did you mean "port"/],
  ['wrong type', gateway({ port: 'eighty', protocol: 'HTTP' }), 'conf.listeners[0].port', /port must be in the range/],
  ['port out of range', gateway({ port: 70000, protocol: 'HTTP' }), 'conf.listeners[0].port', /range \[1, 65535\]/],
  ['wrong enum', gateway({ port: 80, protocol: 'UDP' }), 'conf.listeners[0].protocol', /expected one of/],
  [
    'partial wildcard',
    gateway({ port: 80, protocol: 'HTTP', hostname: 'a.*.b' }),
    'conf.listeners[0].hostname',
    /invalid hostname/,
  ],
  [
    'reserved tag',
    gateway({ port: 80, protocol: 'HTTP', tags: { 'kuma.io/service': 'x' } }),
    'conf.listeners[0].tags["kuma.io/service"]',
    /must not be/,
  ],
  [
    'regex RE2 refuses',
    route({ matches: [{ path: { match: 'REGEX', value: '(?=x)' } }], backends }),
    'conf.http.rules[0].matches[0].value',
    /RE2/,
  ],
  [
    'relative path',
    route({ matches: [{ path: { match: 'PREFIX', value: 'x' } }], backends }),
    'conf.http.rules[0].matches[0].value',
    /absolute path/,
  ],
  ['empty match', route({ matches: [{}], backends }), 'conf.http.rules[0].matches[0]', /cannot be empty/],
  ['no backends', route({ matches: [{ method: 'GET' }] }), 'conf.http.rules[0].backends', /cannot be empty/],
  [
    'no service',
    route({ matches: [{ method: 'GET' }], backends: [{ destination: { a: 'b' } }] }),
    'conf.http.rules[0].backends[0]',
    /mandatory tag/,
  ],
  [
    'builtin with inbound',
    dataplane({
      address: '10.0.0.1',
      gateway: { type: 'BUILTIN', tags: { 'kuma.io/service': 'g' } },
      inbound: [{ port: 1 }],
    }),
    'networking.inbound',
    /builtin gateways/,
  ],
  [
    'no address',
    dataplane({ inbound: [{ port: 80, tags: { 'kuma.io/service': 'a' } }] }),
    'networking.address',
    /can't be empty/,
  ],
  [
    'bad protocol tag',
    dataplane({
      address: '10.0.0.1',
      inbound: [{ port: 80, tags: { 'kuma.io/service': 'a', 'kuma.io/protocol': 'htp' } }],
    }),
    'networking.inbound[0].tags["kuma.io/protocol"]',
    /invalid value "htp"/,
  ],
  [
    'target not served yet',
    {
      type: 'MeshTrafficPermission',
      name: 'p',
      spec: {
        targetRef: { kind: 'MeshService', name: 'x' },
        from: [{ targetRef: { kind: 'Mesh' }, default: { action: 'Allow' } }],
      },
    },
    'spec.targetRef.kind',
    /not yet/,
  ],
]

test.each(refused)('A1 admission refuses with the field: %s', (_title, document, field, reason) => {
  const result = admit(document)
  expect(result.ok).toBe(false)
  if (result.ok) return
  const { detail, violations } = result.error
  if (field === '') expect(detail).toMatch(reason)
  else
    expect(
      violations.find((one) => one.field === field)?.reason ?? `no ${field} in ${JSON.stringify(violations)}`,
    ).toMatch(reason)
})

test('A2 snake_case and lowerCamelCase name the same field, which is stored in lowerCamelCase', () => {
  const result = admit(route({ matches: [{ query_parameters: [{ name: 'q', value: '1' }] }], backends }))
  expect(result).toMatchObject({
    ok: true,
    value: { spec: { conf: { http: { rules: [{ matches: [{ queryParameters: [{ name: 'q', value: '1' }] }] }] } } } },
  })
})

test('A3 a field that no request can reach is stored with a warning that names it', () => {
  const result = admit(route({ matches: [{ path: { match: 'EXACT', value: '/a?b=c' } }], backends }))
  expect(result).toMatchObject({
    ok: true,
    value: { warnings: [expect.stringMatching(/^conf\.http\.rules\[0\]\.matches\[0\]\.path: no request has/)] },
  })
})

test('A4 the Kubernetes form of a resource is read as its universal form', () => {
  const { type, mesh, name, ...spec } = gateway({ port: 80, protocol: 'HTTP' })
  const result = admit({ apiVersion: 'kuma.io/v1alpha1', kind: type, mesh, metadata: { name }, spec })
  expect(result).toMatchObject({ ok: true, value: { mesh: 'default', name: 'edge' } })
})
