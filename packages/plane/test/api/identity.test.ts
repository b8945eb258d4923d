import { hostname } from 'node:os'
import { dataplane as dataplaneKind } from '@zonemesh/core/kinds/dataplane.ts'
import { zoneIngress } from '@zonemesh/core/kinds/zone-ingress.ts'
import { timeout as timeoutKind } from '@zonemesh/core/policies/timeout/timeout.ts'
import { createOwnHosts } from '@zonemesh/plane/api/hosts.ts'
import {
  admin,
  anonymous,
  hostName,
  identify,
  isAdmin,
  isLocalAdmin,
  isLoopback,
  requireAdmin,
  requireAllowed,
} from '@zonemesh/plane/api/identity.ts'
import { createPlacement, placementFaults } from '@zonemesh/plane/api/placement.ts'
import { adminProof } from '@zonemesh/shared/auth/admin-proof.ts'
import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import { expect, test } from 'vitest'
import { createPlane } from './routes.ts'

const local = { host: 'localhost:5681' }

test.each<[string, string | undefined, Record<string, string>, boolean]>([
  ['no sign of a proxy or a browser', '127.0.0.1', {}, true],
  ['IPv6', '::1', { host: '[::1]:5681' }, true],
  ['IPv4 in IPv6', '::ffff:127.0.0.1', { host: '127.9.9.9' }, true],
  ['an unknown peer', undefined, {}, false],
  ['another machine', '10.0.0.1', {}, false],
  ['a name that only begins like loopback', '127.0.0.1.evil', {}, false],
  ['X-Forwarded-For', '127.0.0.1', { 'x-forwarded-for': 'a' }, false],
  ['X-Forwarded', '127.0.0.1', { 'x-forwarded': 'a' }, false],
  ['Via', '127.0.0.1', { via: 'a' }, false],
  ['X-Client-IP', '127.0.0.1', { 'x-client-ip': 'a' }, false],
  ['a header of Envoy', '127.0.0.1', { 'x-envoy-internal': 'true' }, false],
  ['another Host', '127.0.0.1', { host: 'plane.example:5681' }, false],
  ['an empty Host', '127.0.0.1', { host: '' }, false],
  ['a request of the same origin', '127.0.0.1', { 'sec-fetch-site': 'same-origin' }, true],
  ['a request that a user typed', '127.0.0.1', { 'sec-fetch-site': 'none' }, true],
  ['a request of the same site', '127.0.0.1', { 'sec-fetch-site': 'same-site' }, false],
  ['its own Origin', '127.0.0.1', { origin: 'http://localhost:5681' }, true],
  ['its own Origin with TLS', '127.0.0.1', { origin: 'https://localhost:5681' }, true],
  ['the Origin of another port', '127.0.0.1', { origin: 'http://localhost:80' }, false],
  ['an opaque Origin', '127.0.0.1', { origin: 'null' }, false],
  ['an Origin with a path', '127.0.0.1', { origin: 'http://localhost:5681/x' }, false],
  ['an Origin of another scheme', '127.0.0.1', { origin: 'ftp://localhost:5681' }, false],
])('R11 whether a caller is the administrator of localhost: %s', (_title, peer, headers, expected) => {
  expect(isLocalAdmin(peer, { ...local, ...headers })).toBe(expected)
})

test('R11 a foreign Origin does not count, even if it equals the Host', () => {
  const headers = { host: 'evil.example', origin: 'http://evil.example' }
  expect(isLocalAdmin('127.0.0.1', headers)).toBe(false)
  expect(isLocalAdmin('127.0.0.1', {})).toBe(false)
})

test('R11 loopback is localhost, 127.0.0.0/8 and ::1, in every form', () => {
  for (const host of ['localhost', '127.0.0.1', '127.255.0.3', '::1', '::ffff:127.0.0.1'])
    expect([host, isLoopback(host)]).toEqual([host, true])
  for (const host of ['', '10.0.0.1', '1127.0.0.1', '127.0.0', '127.0.0.1.nip.io', '::2', 'x::ffff:127.0.0.1'])
    expect([host, isLoopback(host)]).toEqual([host, false])
  expect(['[::1]:5681', 'a:1', 'a', '[::1]'].map(hostName)).toEqual(['::1', 'a', 'a', '::1'])
})

const at = { method: 'GET', path: '/meshes' }

test('R12 a caller is the administrator of localhost, its token, its proof of the admin key, or anonymous', async () => {
  const plane = await createPlane()
  const request = (headers: object, peer = '10.0.0.1') => ({ peer, headers: { ...local, ...headers }, ...at })
  const who = (headers: object, peer?: string, changes: object = {}) =>
    identify({ ...plane, ...changes }, request(headers, peer))
  expect(await who({}, '127.0.0.1')).toBe(admin)
  expect(await who({}, '127.0.0.1', { localhostIsAdmin: false })).toBe(anonymous)
  expect(await who({})).toBe(anonymous)
  const issue = (claims: JsonObject) => plane.tokens.issue('user', '', claims, 60_000)
  // A plane that owns the keys derives their public halves from its secrets; here they are in the store already.
  const token = await issue({ Name: 'ada', Groups: ['team', 5] })
  for (const word of ['Bearer ', 'bearer   ', ''])
    expect(await who({ authorization: `${word}${token} ` })).toEqual({
      ...{ name: 'ada', groups: ['team', '5', 'mesh-system:authenticated'] },
    })
  expect((await who({ authorization: await issue({ Name: 'bob' }) })).groups).toEqual(['mesh-system:authenticated'])
  await expect(who({ authorization: 'Bearer x' })).rejects.toMatchObject({ status: 401 })
  const proof = (key: string, ms = plane.clock.wallMs()) =>
    ({ authorization: adminProof(key, ms, { ...at, host: local.host }) }) as const
  expect(await who(proof('key'))).toBe(admin)
  await expect(who(proof('other'))).rejects.toMatchObject({ status: 401, message: expect.stringMatching(/admin\.key/) })
  await expect(who(proof('key', plane.clock.wallMs() - 61_000))).rejects.toMatchObject({ status: 401 })
})

test('R10 an administrator is the admin by name, or a member of the group', () => {
  expect(isAdmin(admin)).toBe(true)
  expect(isAdmin({ name: 'mesh-system:admin', groups: [] })).toBe(true)
  expect(isAdmin({ name: 'ada', groups: ['mesh-system:admin'] })).toBe(true)
  expect(isAdmin(anonymous)).toBe(false)
  expect(() => requireAdmin(admin, 'write')).not.toThrow()
  expect(() => requireAdmin({ name: 'ada', groups: ['a', 'b'] }, 'write')).toThrow(
    expect.objectContaining({ status: 403, message: 'user "ada/a,b" cannot write' }),
  )
})

test('R29 only anonymous callers need a Host of the plane and the rule that they may read', () => {
  const rules = (anonymousRule: 'none' | 'read') =>
    ({ anonymous: anonymousRule, isOwnHost: (host: string) => host === 'own' }) as const
  expect(() => requireAllowed(anonymous, rules('read'), 'own')).not.toThrow()
  expect(() => requireAllowed(admin, rules('none'), 'other')).not.toThrow()
  expect(() => requireAllowed(anonymous, rules('read'), 'other:80')).toThrow(
    expect.objectContaining({ status: 403, message: expect.stringMatching(/found "other": add it to --api-hosts/) }),
  )
  expect(() => requireAllowed(anonymous, rules('none'), 'own')).toThrow(
    expect.objectContaining({ status: 401, headers: { 'WWW-Authenticate': 'Bearer' } }),
  )
})

test('R29 a plane has the names of its machine, the configured names, and every address', () => {
  const isOwn = createOwnHosts(['Plane.example'])
  const own = hostname()
  for (const host of ['localhost', 'LOCALHOST:5681', own, own.split('.')[0] ?? '', 'plane.example:1', 'PLANE.example.'])
    expect([host, isOwn(host)]).toEqual([host, true])
  for (const host of ['', ':5681', '10.0.0.1:5681', '[2001:db8::1]:5681'])
    expect([host, isOwn(host)]).toEqual([host, true])
  for (const host of ['evil.example', 'plane.example.evil', '10.0.0.1.nip.io'])
    expect([host, isOwn(host)]).toEqual([host, false])
})

const placement = (isLoopbackOnly: boolean, ...ports: number[]) => ({ isLoopbackOnly, ports: () => new Set(ports) })
const faultsOf = (networking: JsonObject, isLoopbackOnly = false, kind = dataplaneKind) =>
  placementFaults(kind, { networking }, placement(isLoopbackOnly, 5681)).map(({ field }) => field)
const mine = '127.0.0.1'

test('R28 a proxy has no loopback address, unless the plane listens on loopback only', () => {
  const networking = {
    ...{ address: '127.0.0.1', advertisedAddress: 'localhost' },
    inbound: [{ port: 80, address: '::1' }, { port: 81, address: '10.0.0.1' }, { port: 82 }],
  }
  const fields = ['networking.address', 'networking.advertisedAddress', 'networking.inbound[0].address']
  expect(faultsOf(networking)).toEqual(fields)
  expect(faultsOf(networking, true)).toEqual([])
  expect(placementFaults(zoneIngress, { networking }, placement(false)).map(({ field }) => field)).toEqual(fields)
  // Other kinds describe no proxy.
  expect(placementFaults(timeoutKind, { networking }, placement(false))).toEqual([])
  expect(placementFaults(dataplaneKind, {}, placement(false))).toEqual([])
})

test.each<[string, JsonObject, string[]]>([
  ['the port of an inbound', { port: 5681 }, ['port', 'servicePort']],
  ['the port of the service', { port: 80, servicePort: 5681 }, ['servicePort']],
  ['a service port of zero is the port', { port: 5681, servicePort: 0 }, ['port', 'servicePort']],
  ['a service on another machine', { port: 5681, serviceAddress: '198.51.100.1' }, ['port']],
  ['a service on this machine', { port: 80, servicePort: 5681, serviceAddress: mine }, ['servicePort']],
  ['an inbound on another machine', { port: 5681, address: '198.51.100.1' }, []],
  ['a service on the machine of its proxy', { port: 5681, address: '198.51.100.1', serviceAddress: mine }, []],
  ['other ports', { port: 80, servicePort: 81 }, []],
])('R28 no endpoint on the machine of the plane is a port of the plane: %s', (_title, inbound, expected) => {
  const fields = faultsOf({ address: mine, inbound: [{ port: 79 }, inbound] }, true)
  expect(fields).toEqual(expected.map((field) => `networking.inbound[1].${field}`))
})

test('R28 ports of a plane that the system assigns are known when they are open', () => {
  const { isLoopbackOnly, ports, opened } = createPlacement('127.0.0.1', [5681, 0])
  expect([isLoopbackOnly, ...ports()]).toEqual([true, 5681])
  opened(undefined, 40_000)
  expect([...ports()]).toEqual([5681, 40_000])
  expect(createPlacement('0.0.0.0', []).isLoopbackOnly).toBe(false)
})
