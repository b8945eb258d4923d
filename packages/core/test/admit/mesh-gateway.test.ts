import { generateKeyPairSync } from 'node:crypto'
import { expect, test } from 'vitest'
import { admit } from '../../src/admit/admit.ts'
import { readPem } from '../../src/kinds/pem.ts'

const selectors = [{ match: { 'kuma.io/service': 'edge' } }]
const gateway = (listeners: unknown, more: object = {}) => ({
  type: 'MeshGateway',
  mesh: 'default',
  name: 'edge',
  selectors,
  conf: { listeners },
  ...more,
})
const one = (listener: object) => gateway([{ port: 80, protocol: 'HTTP', ...listener }])
const chosenBy = (...all: object[]) => gateway([{ port: 80, protocol: 'HTTP' }], { selectors: all })

const block = (type: string, body = 'AAAA') => `-----BEGIN ${type}-----\n${body}\n-----END ${type}-----\n`
const certificate = block('CERTIFICATE')
const rsaKey = block('RSA PRIVATE KEY')
const ecKey = block('EC PRIVATE KEY')
const terminated = (...certificates: object[]) => one({ protocol: 'HTTPS', tls: { mode: 'TERMINATE', certificates } })
const inline = (...blocks: string[]) => ({ inlineString: blocks.join('') })

const at = 'conf.listeners[0]'

/** Field and reason of every violation, as one text each. */
function violationsOf(document: unknown): readonly string[] {
  const result = admit(document)
  return result.ok ? [] : result.error.violations.map(({ field, reason }) => `${field}: ${reason}`)
}

const tagNames = 'tag name must consist of alphanumeric characters, dots, dashes, slashes and underscores'
const selectorValues =
  'tag value must consist of alphanumeric characters, dots, dashes, slashes and underscores or be "*"'
const tagValues = 'tag value must consist of alphanumeric characters, dots, dashes and underscores'

test.each<[string, unknown, readonly string[]]>([
  [
    'no selectors',
    gateway([{ port: 80, protocol: 'HTTP' }], { selectors: [] }),
    ['selectors: must have at least one element'],
  ],
  [
    'two selectors with crossMesh',
    gateway([{ port: 80, protocol: 'HTTP', crossMesh: true }], { selectors: [...selectors, ...selectors] }),
    ['selectors[1]: there can be at most one selector'],
  ],
  [
    'an empty selector',
    chosenBy({ match: {} }),
    [
      'selectors[0].match: must have at least one tag',
      'selectors[0].match: mandatory tag "kuma.io/service" is missing',
    ],
  ],
  ['no service', chosenBy({ match: { a: 'b' } }), ['selectors[0].match: mandatory tag "kuma.io/service" is missing']],
  [
    'an empty value',
    chosenBy({ match: { 'kuma.io/service': 'edge', a: '' } }),
    ['selectors[0].match["a"]: tag value must be non-empty'],
  ],
  [
    'a bad tag name',
    chosenBy({ match: { 'kuma.io/service': 'edge', 'a b': 'c' } }),
    [`selectors[0].match["a b"]: ${tagNames}`],
  ],
  [
    'a bad tag value',
    chosenBy({ match: { 'kuma.io/service': 'edge', a: '*b' } }),
    [`selectors[0].match["a"]: ${selectorValues}`],
  ],
  [
    'an empty tag name',
    chosenBy({ match: { 'kuma.io/service': 'edge', '': 'c' } }),
    ['selectors[0].match: tag name must be non-empty'],
  ],
  ...['kuma.io/external-service-name', 'kuma.io/protocol', 'kuma.io/service', 'kuma.io/zone'].flatMap(
    (tag): [string, unknown, readonly string[]][] => [
      [`${tag} in a listener`, one({ tags: { [tag]: 'x' } }), [`${at}.tags["${tag}"]: tag name must not be "${tag}"`]],
      [
        `${tag} in the gateway`,
        gateway([{ port: 80, protocol: 'HTTP' }], { tags: { [tag]: 'x' } }),
        [`tags["${tag}"]: tag name must not be "${tag}"`],
      ],
    ],
  ),
  ['a star in a listener tag', one({ tags: { a: '*' } }), [`${at}.tags["a"]: ${tagValues}`]],
  ['no conf', { type: 'MeshGateway', mesh: 'default', name: 'e', selectors }, ['conf: cannot be empty']],
  ['no listeners', gateway([]), ['conf.listeners: cannot be empty']],
  ['a long hostname', one({ hostname: `${'a.'.repeat(130)}com` }), [`${at}.hostname: must be at most 253 characters`]],
  ['half a wildcard', one({ hostname: '*example.com' }), [`${at}.hostname: invalid wildcard domain`]],
  ['a wildcard of a wildcard', one({ hostname: '*.*.com' }), [`${at}.hostname: invalid wildcard domain`]],
  ['an upper-case hostname', one({ hostname: 'Foo.com' }), [`${at}.hostname: invalid hostname`]],
  ['port 0', one({ port: 0 }), [`${at}.port: port must be in the range [1, 65535]`]],
  ['no port', gateway([{ protocol: 'HTTP' }]), [`${at}.port: port must be in the range [1, 65535]`]],
  ['no protocol', gateway([{ port: 80 }]), [`${at}.protocol: cannot be empty`]],
  ['protocol NONE', one({ protocol: 'NONE' }), [`${at}.protocol: cannot be empty`]],
  [
    'crossMesh with HTTPS',
    one({ protocol: 'HTTPS', crossMesh: true, tls: {} }),
    [`${at}.protocol: protocol is not supported with crossMesh`],
  ],
  [
    'crossMesh with TCP (own)',
    one({ protocol: 'TCP', crossMesh: true }),
    [`${at}.protocol: protocol is not supported with crossMesh`],
  ],
  [
    'crossMesh with TLS (own)',
    one({ protocol: 'TLS', crossMesh: true, tls: {} }),
    [`${at}.protocol: protocol is not supported with crossMesh`],
  ],
  ['HTTPS without tls', one({ protocol: 'HTTPS' }), [`${at}.tls: cannot be empty`]],
  ['TLS without tls (own)', one({ protocol: 'TLS' }), [`${at}.tls: cannot be empty`]],
  [
    'HTTPS passed through',
    one({ protocol: 'HTTPS', tls: { mode: 'PASSTHROUGH' } }),
    [`${at}.tls.mode: mode is not supported on HTTPS listeners`],
  ],
  ['no mode', one({ protocol: 'TLS', tls: {} }), [`${at}.tls.mode: cannot be empty`]],
  ['no mode, HTTP', one({ tls: {} }), [`${at}.tls.mode: cannot be empty`]],
  [
    'tls on HTTP (own)',
    one({ tls: { mode: 'TERMINATE', certificates: [{ secret: 'a' }] } }),
    [`${at}.tls: must be empty on HTTP listeners`],
  ],
  [
    'tls on TCP (own)',
    one({ protocol: 'TCP', tls: { mode: 'PASSTHROUGH' } }),
    [`${at}.tls: must be empty on TCP listeners`],
  ],
  ['no certificates', terminated(), [`${at}.tls.certificates: cannot be empty in TLS termination mode`]],
  [
    'three certificates',
    terminated({ secret: 'a' }, { secret: 'b' }, { secret: 'c' }),
    [`${at}.tls.certificates: cannot have more than 2 certificates`],
  ],
  [
    'crossMesh with tls',
    one({ crossMesh: true, tls: { mode: 'TERMINATE', certificates: [{ secret: 'a' }] } }),
    [`${at}.tls: must be empty with crossMesh`],
  ],
  [
    'two protocols on a port, on each of its listeners',
    gateway([
      { port: 80, protocol: 'HTTP' },
      { port: 81, protocol: 'HTTP' },
      { port: 80, protocol: 'TCP', hostname: 'a.com' },
    ]),
    [
      'conf.listeners[0]: protocol conflicts with other listeners on this port',
      'conf.listeners[2]: protocol conflicts with other listeners on this port',
    ],
  ],
  [
    'one hostname twice',
    gateway([
      { port: 80, protocol: 'HTTP' },
      { port: 80, protocol: 'HTTP', hostname: '*' },
    ]),
    [
      'conf.listeners[0]: multiple listeners for hostname on this port',
      'conf.listeners[1]: multiple listeners for hostname on this port',
    ],
  ],
  [
    'two limits',
    gateway([
      { port: 80, protocol: 'HTTP', hostname: 'a.com', resources: { connectionLimit: 1 } },
      { port: 80, protocol: 'HTTP', hostname: 'b.com' },
      { port: 80, protocol: 'HTTP', hostname: 'c.com', resources: { connection_limit: 2 } },
    ]),
    [
      'conf.listeners[0].resources.connectionLimit: conflicting values for this port',
      'conf.listeners[2].resources.connectionLimit: conflicting values for this port',
    ],
  ],
  [
    'mixed crossMesh (own)',
    gateway([
      { port: 80, protocol: 'HTTP', hostname: 'a.com', crossMesh: true },
      { port: 80, protocol: 'HTTP', hostname: 'b.com' },
    ]),
    [
      'conf.listeners[0].crossMesh: conflicts with other listeners on this port',
      'conf.listeners[1].crossMesh: conflicts with other listeners on this port',
    ],
  ],
  [
    'two TCP listeners on a port (own)',
    gateway([
      { port: 80, protocol: 'TCP', hostname: 'a.com' },
      { port: 80, protocol: 'TCP', hostname: 'b.com' },
    ]),
    [
      'conf.listeners[0]: multiple TCP listeners on this port',
      'conf.listeners[1]: multiple TCP listeners on this port',
    ],
  ],
  [
    'a wildcard on TCP (own)',
    one({ protocol: 'TCP', hostname: '*.a.com' }),
    [`${at}.hostname: wildcard hostnames are not supported on TCP listeners`],
  ],
  [
    'no source (own)',
    terminated({}),
    [`${at}.tls.certificates[0]: must have exactly one of secret, inline, inlineString, file`],
  ],
  [
    'two sources (own)',
    terminated({ secret: 'a', file: '/b' }),
    [`${at}.tls.certificates[0]: must have exactly one of secret, inline, inlineString, file`],
  ],
  ['an empty secret (own)', terminated({ secret: '' }), [`${at}.tls.certificates[0].secret: cannot be empty`]],
  ['no base64 (own)', terminated({ inline: '%' }), [`${at}.tls.certificates[0].inline: expected base64`]],
  [
    'no key (own)',
    terminated({ inline: btoa(certificate) }),
    [`${at}.tls.certificates[0].inline: missing private key`],
  ],
  [
    'no certificate (own)',
    terminated(inline(rsaKey)),
    [`${at}.tls.certificates[0].inlineString: missing server certificate`],
  ],
  [
    'two inline certificates of one key type (own)',
    terminated(inline(rsaKey, certificate), inline(certificate, rsaKey)),
    [`${at}.tls.certificates[1]: duplicate TLS certificate "cert.rsa"`],
  ],
  [
    'one secret twice (own)',
    terminated({ secret: 'a' }, { secret: 'a' }),
    [`${at}.tls.certificates[1]: duplicate TLS certificate "secret:a"`],
  ],
])('A12 admission refuses a MeshGateway: %s', (_title, document, expected) => {
  expect(violationsOf(document)).toEqual(expected)
})

test.each<[string, unknown, readonly string[]]>([
  ['HTTP on any host', one({}), []],
  ['a value with a slash', one({ tags: { port: 'tcp/8080' } }), []],
  ['HTTPS with one certificate', terminated({ secret: 'a' }), []],
  ['HTTPS with one of each type', terminated(inline(rsaKey, certificate), inline(ecKey, certificate, certificate)), []],
  [
    'HTTPS on several hostnames, and options without fields',
    gateway(
      ['a.com', '*.a.com', ''].map((hostname) => ({
        port: 443,
        protocol: 'https',
        hostname,
        tls: { mode: 'terminate', options: {}, certificates: [{ secret: 'a' }] },
        resources: { connection_limit: 10 },
      })),
    ),
    [],
  ],
  [
    'TLS in both modes on a port',
    gateway([
      { port: 443, protocol: 'TLS', hostname: 'a.com', tls: { mode: 'PASSTHROUGH' } },
      { port: 443, protocol: 'TLS', hostname: 'b.com', tls: { mode: 'TERMINATE', certificates: [{ secret: 'a' }] } },
    ]),
    [],
  ],
  ['TCP', one({ protocol: 'TCP' }), []],
  [
    'TCP with a hostname',
    one({ protocol: 'TCP', hostname: 'a.com' }),
    [`${at}.hostname: has no effect on a TCP listener`],
  ],
  [
    'certificates where nothing is terminated',
    one({ protocol: 'TLS', tls: { mode: 'PASSTHROUGH', certificates: [{ secret: 'a' }] } }),
    [`${at}.tls.certificates: have no effect where TLS is passed through`],
  ],
  ['a file', terminated({ file: '/a' }), [`${at}.tls.certificates[0].file: not served; use a secret, or inline data`]],
  ['nothing of crossMesh', one({ crossMesh: true }), []],
])('A12 admission stores a MeshGateway and warns about fields without effect: %s', (_title, document, warnings) => {
  expect(admit(document)).toMatchObject({ ok: true, value: { warnings } })
})

const generated = (type: 'rsa' | 'ec' | 'ed25519', format: 'pkcs8' | 'pkcs1' | 'sec1') => {
  const pair =
    type === 'rsa'
      ? generateKeyPairSync('rsa', { modulusLength: 2048 })
      : type === 'ec'
        ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
        : generateKeyPairSync('ed25519')
  // Node's types have no overload for a union of formats.
  return String(pair.privateKey.export({ type: format as 'pkcs8', format: 'pem' }))
}

test.each([
  ['RSA, PKCS #8', generated('rsa', 'pkcs8'), { ok: true, value: { keyType: 'rsa' } }],
  ['RSA, PKCS #1', generated('rsa', 'pkcs1'), { ok: true, value: { keyType: 'rsa' } }],
  ['ECDSA, PKCS #8', generated('ec', 'pkcs8'), { ok: true, value: { keyType: 'ecdsa' } }],
  ['ECDSA, SEC 1', generated('ec', 'sec1'), { ok: true, value: { keyType: 'ecdsa' } }],
  ['Ed25519', generated('ed25519', 'pkcs8'), { ok: false, error: 'unsupported private key type "PRIVATE KEY"' }],
  [
    'encrypted',
    block('ENCRYPTED PRIVATE KEY'),
    { ok: false, error: 'unsupported private key type "ENCRYPTED PRIVATE KEY"' },
  ],
  ['two keys', rsaKey + ecKey, { ok: false, error: 'secret contains multiple private keys' }],
  ['something else', block('EC PARAMETERS'), { ok: false, error: 'unsupported PEM block "EC PARAMETERS"' }],
  ['no base64', block('RSA PRIVATE KEY', '$'), { ok: false, error: 'PEM block "RSA PRIVATE KEY" is not base64' }],
])('A14 an inline certificate is checked with its key: %s', (_title, key, expected) => {
  expect(readPem(certificate + key)).toEqual(expected)
  expect(readPem(key.replaceAll('\n', '\r\n') + certificate)).toEqual(expected)
})
