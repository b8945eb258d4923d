import { X509Certificate } from 'node:crypto'
import { createAuthorityHolder } from '@zonemesh/plane/authority/holder.ts'
import { createAuthorityOwner } from '@zonemesh/plane/authority/owner.ts'
import { createMemorySealer } from '@zonemesh/plane/authority/seal.ts'
import { createVirtualClock } from '@zonemesh/shared/env/clock.ts'
import { silentLog } from '@zonemesh/shared/env/log.ts'
import { createSeededRandom } from '@zonemesh/shared/env/random.ts'
import { createMemoryStore } from '@zonemesh/shared/store/memory.ts'
import { expect, test } from 'vitest'
import { createSecrets } from '../../src/secrets/secrets.ts'

const hourMs = 3_600_000
const need = {
  type: 'identity',
  name: 'identity_cert:secret:default',
  mesh: 'default',
  services: ['echo'],
  tags: ['version/v1'],
} as const

/** A standalone zone's authorities over a memory store, with a mesh whose workload certificates live for two hours. */
async function scene(expiration = '2h', startMs = Date.UTC(2026, 0, 1)) {
  const clock = createVirtualClock(startMs)
  const store = createMemoryStore({ clock, random: createSeededRandom(7) })
  const base = {
    store,
    sealer: createMemorySealer(),
    origin: 'home',
    zone: 'home',
    clock,
    log: silentLog,
    commit: store.commit,
  }
  await store.commit({
    changes: [
      {
        op: 'put',
        key: { origin: 'home', kind: 'Mesh', mesh: '', name: 'default' },
        labels: {},
        spec: {
          mtls: {
            enabledBackend: 'ca-1',
            backends: [{ name: 'ca-1', type: 'builtin', dpCert: { rotation: { expiration } } }],
          },
        },
      },
    ],
    subject: 'test',
    intent: 'test',
  })
  const owner = createAuthorityOwner(base)
  const holder = createAuthorityHolder(base)
  await holder.reconcile()
  await owner.reconcile()
  expect(await holder.reconcile()).toEqual(new Map([['default', 'issuer']]))
  const waiting: (() => void)[] = []
  const secrets = createSecrets({ holder, certificates: { resolve: () => undefined }, clock, log: silentLog }, () => {
    for (const wake of waiting.splice(0)) wake()
  })
  const nextChange = () => new Promise<void>((resolve) => waiting.push(resolve))
  return { clock, owner, holder, secrets, nextChange, store }
}

test('Z13 a workload certificate names the services and tags of its proxy, is signed by the zone, and chains to the root of the mesh', async () => {
  const { secrets, holder, nextChange } = await scene()
  expect(secrets.resolve(need)).toBeUndefined()
  await nextChange()
  expect(secrets.resolve(need)?.name).toBe(need.name)
  const identity = secrets.identityOf(need)
  const [leaf = '', intermediate = ''] = (identity?.certificate ?? '').split(/(?<=-----END CERTIFICATE-----\n)/)
  const root = new X509Certificate(holder.roots('default') ?? '')
  const [a, b] = [new X509Certificate(leaf), new X509Certificate(intermediate)]
  expect(a.subjectAltName).toBe('URI:spiffe://default/echo, URI:kuma://version/v1')
  expect([a.verify(b.publicKey), b.verify(root.publicKey), a.ca, b.ca, root.ca]).toEqual([
    true,
    true,
    false,
    true,
    true,
  ])
  expect(identity && identity.notAfterMs - identity.issuedAtMs).toBe(2 * hourMs)
})

test('Z14 a workload certificate is renewed by itself after four fifths of its life', async () => {
  const { clock, secrets, nextChange } = await scene()
  secrets.resolve(need)
  await nextChange()
  const first = secrets.resolve(need)?.version
  clock.advance(1.5 * hourMs)
  expect(secrets.resolve(need)?.version).toBe(first)
  const changed = nextChange()
  clock.advance(0.1 * hourMs)
  await changed
  expect(secrets.resolve(need)?.version).not.toBe(first)
  secrets.close()
})

test('V10 a certificate is valid from five minutes back, and a short-lived one is renewed a fifth of its life before its end', async () => {
  const { clock, secrets, nextChange } = await scene('5s', Date.UTC(2026, 0, 1) + 999)
  secrets.resolve(need)
  await nextChange()
  const identity = secrets.identityOf(need)
  const { validFrom, validTo } = new X509Certificate(identity?.certificate ?? '')
  expect(new Date(validFrom).getTime()).toBeLessThanOrEqual(clock.wallMs() - 300_000)
  expect(new Date(validTo).getTime()).toBe(identity?.notAfterMs)
  const lifeMs = new Date(validTo).getTime() - clock.wallMs()
  expect(lifeMs).toBe(4_001)
  const changed = nextChange()
  clock.advance(lifeMs * 0.8 + 1)
  await changed
  expect(secrets.identityOf(need)?.notAfterMs).toBeGreaterThan(identity?.notAfterMs ?? 0)
  secrets.close()
})

test('V11 an expired authority issues nothing, and the error names the time of expiry', async () => {
  const { clock, secrets, nextChange, holder } = await scene()
  secrets.resolve(need)
  await nextChange()
  clock.advance((holder.notAfterMs('default') ?? 0) - clock.wallMs() + 1)
  await expect(holder.issue('default', ['echo'], [])).rejects.toThrow(
    /^the intermediate authority of mesh default expired at 2026-01-31T/,
  )
  secrets.close()
})

test('Z15 a zone requests a new authority half a month before the old one expires, and gets it', async () => {
  const { clock, owner, holder } = await scene()
  const before = holder.notAfterMs('default') ?? 0
  clock.advance(14 * 24 * hourMs)
  await owner.reconcile()
  expect(await holder.reconcile()).toEqual(new Map())
  clock.advance(2 * 24 * hourMs)
  await owner.reconcile()
  expect(await holder.reconcile()).toEqual(new Map([['default', 'issuer']]))
  expect(holder.notAfterMs('default')).toBeGreaterThan(before)
})

test('Z16 keys are sealed in the store, and the root key is only at its owner', async () => {
  const { store } = await scene()
  for (const kind of ['MeshRoot', 'AuthorityKey', 'AuthorityRequest', 'AuthorityCertificate']) {
    const rows = await store.scan({ kind })
    expect(rows.length).toBeGreaterThan(0)
    expect(JSON.stringify(rows)).not.toContain('PRIVATE KEY')
  }
})

test('GW25 the authorities of all meshes are one bundle, and the own authority replaces one of another mesh that is missing', async () => {
  const { secrets, holder, owner, store } = await scene()
  const all = { type: 'authorities', name: 'mesh_ca:secret:all' } as const
  const ofShop = { type: 'authority', name: 'mesh_ca:secret:shop', mesh: 'shop', standIn: 'default' } as const
  const textOf = (need: typeof all | typeof ofShop) =>
    Buffer.from(secrets.resolve(need)?.bytes ?? []).toString('latin1')
  const root = holder.roots('default') ?? 'none'
  expect(textOf(all)).toContain(root)
  expect(textOf(ofShop)).toContain(root)
  const mtls = { enabledBackend: 'ca', backends: [{ name: 'ca', type: 'builtin' }] }
  const key = { origin: 'home', kind: 'Mesh', mesh: '', name: 'shop' }
  await store.commit({ changes: [{ op: 'put', key, labels: {}, spec: { mtls } }], subject: 'test', intent: 'test' })
  await holder.reconcile()
  await owner.reconcile()
  await holder.reconcile()
  const other = holder.roots('shop') ?? 'none'
  expect([textOf(all).includes(root), textOf(all).includes(other)]).toEqual([true, true])
  expect([textOf(ofShop).includes(root), textOf(ofShop).includes(other)]).toEqual([false, true])
})

test('MT12 each issue of a workload certificate is measured, and each failure is counted', async () => {
  const { clock, holder } = await scene()
  const seen: string[] = []
  const observer = { issued: () => void seen.push('issued'), issueFailed: () => void seen.push('failed') }
  let fails = true
  const issue: typeof holder.issue = async (...identity) => {
    if (fails) throw new Error('the key is damaged')
    return holder.issue(...identity)
  }
  const deps = { certificates: { resolve: () => undefined }, clock, log: silentLog, observer }
  const changed = Promise.withResolvers<void>()
  const secrets = createSecrets({ ...deps, holder: { ...holder, issue } }, changed.resolve)
  secrets.resolve(need)
  await new Promise(setImmediate)
  expect(seen).toEqual(['failed'])
  fails = false
  clock.advance(5_000)
  await changed.promise
  expect(seen).toEqual(['failed', 'issued'])
  secrets.close()
})
