import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Demo } from '@zonemesh/cli/demo/run.ts'
import { decodeJoin } from '@zonemesh/shared/auth/join.ts'
import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  api,
  local,
  type Scene,
  startScene,
  startTraffic,
  statusOf,
  throughGateway,
  until,
  zonemesh,
} from '../e2e/rig.ts'

let scene: Scene
let demo: Demo
beforeAll(async () => {
  scene = await startScene(40)
  demo = scene.demo
})
afterAll(() => scene[Symbol.asyncDispose]())

const global = () => api(demo.globalAddress)
const joinFile = () => join(demo.folder, 'east.join')
const secret = (name: string) => `/global-secrets/${name}`
const claimsOf = (token: string): { readonly jti: string } =>
  JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8'))
const dataplaneToken = () => readFileSync(join(demo.folder, 'dataplane.token'), 'utf8').trim()

/** The token that east joins with. */
function tokenOfEast(): { readonly token: string; readonly address: string } {
  const known = decodeJoin(readFileSync(joinFile(), 'utf8'))
  if (!known.ok) throw new Error(known.error)
  return known.value
}

/** The operator's command that gives east another token. */
const rotate = async (validFor: string) => {
  const address = tokenOfEast().address.replace('https://', '')
  const given = ['--address', demo.globalAddress, '--join-address', address, '--valid-for', validFor]
  const { code, stderr } = await zonemesh('token', 'zone', 'east', ...given, '--out', joinFile())
  expect([code, stderr]).toEqual([0, expect.stringMatching(new RegExp(`\nwritten to ${joinFile()}\n$`))])
}

async function revoke(name: string, ...tokens: readonly string[]): Promise<void> {
  const data = Buffer.from(tokens.map((token) => claimsOf(token).jti).join(',')).toString('base64')
  await global().need('PUT', secret(name), { type: 'GlobalSecret', name, data })
}

const east = async () => (await statusOf(demo.globalAddress)).zones.find(({ zone }) => zone === 'east')
const untilEast = (what: string, isRight: (zone: JsonObject) => boolean, limitMs?: number) =>
  until(what, async () => ({ ...(await east()) }) as JsonObject, isRight, limitMs)
const uplink = async () => (await statusOf(demo.zones.east.apiAddress)).uplink
const shown = async (address: string) => (await zonemesh('status', '--address', address)).stdout
const traffic = () => startTraffic(() => throughGateway(demo, '/echo'), 4)

const timeout = (at: number) => ({
  type: 'Timeout',
  mesh: demo.names.mesh,
  name: `during-${at}`,
  sources: [{ match: { 'kuma.io/service': '*' } }],
  destinations: [{ match: { 'kuma.io/service': '*' } }],
  conf: { connectTimeout: `${at + 5}s` },
})
async function timeoutsOfEast(): Promise<number> {
  // The plane answers with its own list type.
  const { items } = (await api(demo.zones.east.apiAddress).need('GET', '/timeouts')).json as { items: JsonObject[] }
  return items.filter(({ name }) => String(name).startsWith('during-')).length
}

test('F40 rotation: a new token in the join file counts without a restart, no request fails, and no row is lost', async () => {
  const before = await east()
  const { token: former } = tokenOfEast()
  await using load = traffic()
  await load.more(50)
  const writing = (async () => {
    for (let at = 0; at < 20; at += 1)
      await global().need('PUT', `/meshes/${demo.names.mesh}/timeouts/during-${at}`, timeout(at))
  })()
  await rotate('12h')
  await untilEast(
    'a session with the new token',
    ({ connected, epoch }) => connected === true && Number(epoch) === Number(before?.epoch) + 1,
  )
  await writing
  await until('all rows are there', timeoutsOfEast, (count) => count === 20)
  // The session that is open now does not depend on the former token.
  await revoke('zone-token-revocations', former)
  await load.more(200)
  await untilEast('east is current', ({ current }) => current === true)
  expect((await east())?.epoch).toBe(Number(before?.epoch) + 1)
  const { requests, failures } = await load.stop()
  expect(failures).toEqual([])
  expect(requests).toBeGreaterThan(250)
})

test('F40 expiry: a token that expires within 24 h is reported on both ends, and as a metric', async () => {
  expect(await shown(demo.globalAddress)).toMatch(/^expiring: zone token of east expires in 11h \(\S+\)$/m)
  expect(await shown(demo.zones.east.apiAddress)).toMatch(
    /^expiring: zone token of east \(this zone joins with it\) expires in 11h \(\S+\); restart the zone with a new join string of/m,
  )
  const metrics = await (await fetch(`${demo.zones.east.healthAddress}/metrics`)).text()
  const [, seconds] = /^zonemesh_expiry_seconds\{what="zone token"\} (\d+)$/m.exec(metrics) ?? []
  expect(Number(seconds)).toBeGreaterThan(11 * 3_600)
  expect(Number(seconds)).toBeLessThanOrEqual(12 * 3_600)
})

test('F40 revocation: the session of a zone ends within 5 s, both ends report why, and the zone continues to serve', async () => {
  await using load = traffic()
  await load.more(50)
  await revoke('zone-token-revocations', tokenOfEast().token)
  const seen = await untilEast('east is cut off', ({ connected }) => connected === false, 5_000)
  expect(seen['lastEnd']).toMatchObject({ code: 'refused', reason: 'the token was revoked' })
  expect(await until('east says why', uplink, ({ phase }) => phase === 'refused')).toMatchObject({
    reason: 'the token was revoked',
  })
  expect(await shown(demo.globalAddress)).toMatch(/^east +refused .*the token was revoked$/m)
  await load.more(200)
  await rotate('720h')
  await untilEast('east is back with another token', ({ connected, current }) => connected === true && current === true)
  expect((await load.stop()).failures).toEqual([])
})

test('F40 revocation: a user token is refused from the next request on', async () => {
  const body = { name: 'ada', groups: ['mesh-system:admin'], validFor: '1h' }
  const token = (await global().need('POST', '/tokens/user', body)).text.trim()
  const ask = async () =>
    (
      await fetch(`${demo.globalAddress}/who-am-i`, {
        headers: { authorization: `Bearer ${token}`, 'x-real-ip': local },
      })
    ).status
  expect(await ask()).toBe(200)
  await revoke('user-token-revocations', token)
  await until('it is refused', ask, (status) => status === 401, 5_000)
})

interface Overview {
  readonly name: string
  readonly dataplaneInsight?: { readonly mTLS?: { readonly lastCertificateRegeneration: string } }
}
/** When the certificate of the gateway in east was made. */
async function regenerated(): Promise<string> {
  const path = `/meshes/${demo.names.mesh}/dataplanes/_overview`
  // Kuma's shape.
  const { items } = (await api(demo.zones.east.apiAddress).need('GET', path)).json as { items: Overview[] }
  return items.find(({ name }) => name === 'gateway-1')?.dataplaneInsight?.mTLS?.lastCertificateRegeneration ?? ''
}

test('F40 rotation: workload certificates that live for 6 s are renewed under load, and no request fails', async () => {
  const mesh = (expiration: string) => ({
    type: 'Mesh',
    name: demo.names.mesh,
    mtls: {
      enabledBackend: 'ca-1',
      backends: [{ name: 'ca-1', type: 'builtin', dpCert: { rotation: { expiration } } }],
    },
  })
  await using load = traffic()
  await load.more(50)
  const first = await regenerated()
  await global().need('PUT', `/meshes/${demo.names.mesh}`, mesh('6s'))
  const made = new Set([first])
  for (let rotation = 1; rotation <= 4; rotation += 1) {
    made.add(await until('a new certificate', regenerated, (at) => at !== '' && !made.has(at)))
    // More concurrent requests than existing connections, so that new ones use the new certificates.
    const burst = await Promise.all(Array.from({ length: rotation * 12 }, () => throughGateway(demo, '/echo')))
    expect(burst.filter(({ status }) => status !== 200)).toEqual([])
  }
  expect(made.size).toBe(5)
  await global().need('PUT', `/meshes/${demo.names.mesh}`, mesh('24h'))
  await load.more(100)
  expect((await load.stop()).failures).toEqual([])
})

/** The states of the proxies of a kind in both zones. */
async function statesOf(kind: string): Promise<string[]> {
  const reports = await Promise.all([demo.zones.east, demo.zones.west].map(({ apiAddress }) => statusOf(apiAddress)))
  const found = reports.flatMap(({ proxies }) => proxies).filter(({ proxy }) => proxy.split('/')[1] === kind)
  return found.map(({ state }) => state)
}

test('F40 revocation: the streams of proxies end within 5 s in every zone, and return when the token counts again', async () => {
  await using load = traffic()
  const name = `dataplane-token-revocations-${demo.names.mesh}`
  expect(new Set(await statesOf('Dataplane'))).toEqual(new Set(['connected']))
  await revoke(name, dataplaneToken())
  await until(
    'no stream is left',
    () => statesOf('Dataplane'),
    (states) => states.length > 0 && states.every((state) => state === 'suspect'),
    5_000,
  )
  expect(new Set(await statesOf('ZoneIngress'))).toEqual(new Set(['connected']))
  await load.more(100)
  await global().need('DELETE', secret(name))
  await until(
    'all are back',
    () => statesOf('Dataplane'),
    (states) => states.every((state) => state === 'connected'),
  )
  expect((await load.stop()).failures).toEqual([])
})
