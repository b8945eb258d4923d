import { X509Certificate } from 'node:crypto'
import type { GatewayCertificateSpec } from '@zonemesh/core/kinds/internal.ts'
import { publicKinds } from '@zonemesh/core/registry.ts'
import { createMemorySealer } from '@zonemesh/plane/authority/seal.ts'
import { createSecretKey, keyIdOf, openSealed } from '@zonemesh/plane/certificates/envelope.ts'
import { createCertificateKeeper } from '@zonemesh/plane/certificates/keeper.ts'
import { sightRules } from '@zonemesh/plane/sight.ts'
import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import { createVirtualClock } from '@zonemesh/shared/env/clock.ts'
import { silentLog } from '@zonemesh/shared/env/log.ts'
import { createSeededRandom } from '@zonemesh/shared/env/random.ts'
import { globalOrigin, type ResourceKey } from '@zonemesh/shared/resource/resource.ts'
import { createMemoryStore } from '@zonemesh/shared/store/memory.ts'
import { expect, test } from 'vitest'
import { createPair, together } from './pki.ts'

/** A global with a mesh, whose listeners name the secret `web`, and what it writes for zones. */
async function scene() {
  const clock = createVirtualClock(Date.UTC(2026, 0, 1))
  const store = createMemoryStore({ clock, random: createSeededRandom(7) })
  const sealer = createMemorySealer()
  const base = { store, sealer, origin: globalOrigin, log: silentLog, commit: store.commit }
  const keeper = createCertificateKeeper(base)
  const key = (kind: string, name: string, mesh = 'default'): ResourceKey => ({
    origin: globalOrigin,
    kind,
    mesh,
    name,
  })
  const put = async (at: ResourceKey, spec: object) => {
    const changes = [{ op: 'put', key: at, labels: {}, spec: { ...spec } }] as const
    await store.commit({ changes, subject: 'test', intent: 'test' })
    await keeper.reconcile()
  }
  const remove = async (at: ResourceKey) => {
    await store.commit({ changes: [{ op: 'delete', key: at }], subject: 'test', intent: 'test' })
    await keeper.reconcile()
  }
  const secret = (name: string, text: string) =>
    put(key('Secret', name), { sealed: sealer.seal(Buffer.from(text).toString('base64')) })
  const gateway = (...secrets: string[]) =>
    put(key('MeshGateway', 'edge'), {
      selectors: [],
      conf: {
        listeners: [
          {
            port: 443,
            protocol: 'HTTPS',
            tls: { mode: 'TERMINATE', certificates: secrets.map((one) => ({ secret: one })) },
          },
        ],
      },
    })
  const zone = async (name: string) => {
    await put(key('Zone', name, ''), { enabled: true })
    const { privateKey, keyId, publicKey } = await createSecretKey()
    await put(
      { origin: name, kind: 'SecretRequest', mesh: '', name: 'listeners' },
      { keyId, publicKey: { ...publicKey } },
    )
    return { privateKey, keyId }
  }
  const rows = async () => {
    const found = await store.scan({ kind: 'GatewayCertificate' })
    // Rows of this kind hold what the keeper wrote.
    return new Map(found.map((row) => [row.key.name, row.spec as GatewayCertificateSpec]))
  }
  return { store, keeper, key, put, remove, secret, gateway, zone, rows }
}

const good = (spec: GatewayCertificateSpec | undefined) => {
  if (!spec || !('sealed' in spec)) throw new Error(`expected a certificate, found ${JSON.stringify(spec)}`)
  return spec
}

test('T1 each zone gets the certificate of a listener, sealed for this zone only, with its purpose', async () => {
  const { secret, gateway, zone, rows } = await scene()
  const pair = await createPair({ names: ['a.example', '*.b.example'] })
  await secret('web', together(pair))
  await secret('unnamed', together(pair))
  const [east, west] = [await zone('east'), await zone('west')]
  expect(await rows()).toEqual(new Map())
  await gateway('web')
  const found = await rows()
  expect([...found.keys()]).toEqual(['web.east', 'web.west'])
  const row = good(found.get('web.east'))
  const certificate = new X509Certificate(pair.certificate)
  expect(row).toEqual({
    secret: 'web',
    zone: 'east',
    keyType: 'ecdsa',
    names: ['a.example', '*.b.example'],
    notAfterMs: new Date(certificate.validTo).getTime(),
    fingerprint: certificate.fingerprint256.replaceAll(':', '').toLowerCase(),
    sealed: expect.any(String),
  })
  expect(await openSealed(east.privateKey, row.sealed)).toBe(together(pair))
  await expect(openSealed(west.privateKey, row.sealed)).rejects.toThrow()
  expect([...found].map(([name, spec]) => [name, ['east', 'west'].filter((zone) => sees(spec, zone))])).toEqual([
    ['web.east', ['east']],
    ['web.west', ['west']],
  ])
})

const sees = (spec: GatewayCertificateSpec, zone: string): boolean => {
  const key = { origin: globalOrigin, kind: 'GatewayCertificate', mesh: 'default', name: `${spec.secret}.${spec.zone}` }
  const stamp = { incarnation: 1, originRevision: 1, createdAtMs: 0, modifiedAtMs: 0 }
  // No member is undefined.
  const row = { key, labels: {}, spec: spec as JsonObject, stamp }
  return sightRules.seenBy?.get('GatewayCertificate')?.(row, zone) ?? true
}

test('T2 an unchanged certificate is not written again, but a new certificate or a new key of a zone is', async () => {
  const { store, keeper, secret, gateway, zone, rows, put } = await scene()
  const first = await createPair({ names: ['a.example'], type: 'rsa' })
  await zone('east')
  await zone('west')
  await gateway('web')
  await secret('web', together(first))
  const before = await rows()
  const head = await store.head()
  await keeper.reconcile()
  await keeper.reconcile()
  expect(await store.head()).toEqual(head)
  await put({ origin: globalOrigin, kind: 'Zone', mesh: '', name: 'other' }, { enabled: true })
  expect(await rows()).toEqual(before)
  // The same certificate in another order is the same.
  await secret('web', first.key + first.certificate)
  expect(await rows()).toEqual(before)

  const { keyId } = await zone('east')
  const resealed = await rows()
  expect(keyIdOf(good(resealed.get('web.east')).sealed)).toBe(keyId)
  expect(resealed.get('web.west')).toEqual(before.get('web.west'))
  await secret('web', together(await createPair({ names: ['a.example'] })))
  expect([...(await rows()).values()].map((one) => good(one).keyType)).toEqual(['ecdsa', 'ecdsa'])
})

test('T3 rows are removed with their listener, secret, zone or mesh', async () => {
  const { remove, key, secret, gateway, zone, rows } = await scene()
  const text = together(await createPair({ names: ['a.example'] }))
  await secret('web', text)
  await secret('shop', text)
  await zone('east')
  await zone('west')
  await gateway('web', 'shop')
  expect([...(await rows()).keys()]).toEqual(['shop.east', 'shop.west', 'web.east', 'web.west'])
  await gateway('shop')
  expect([...(await rows()).keys()]).toEqual(['shop.east', 'shop.west'])
  await remove(key('Zone', 'west', ''))
  expect([...(await rows()).keys()]).toEqual(['shop.east'])
  await remove(key('Secret', 'shop'))
  expect(await rows()).toEqual(new Map())
  await secret('shop', text)
  await remove(key('MeshGateway', 'edge'))
  expect(await rows()).toEqual(new Map())
})

const ca = { authority: {}, commonName: 'ca' }
test('T4 a secret that cannot be used is reported with its reason in one sentence', async () => {
  const { secret, gateway, zone, rows } = await scene()
  await zone('east')
  await gateway('web')
  const [one, two] = [await createPair({ names: ['a.example'] }), await createPair({ names: ['b.example'] })]
  const weak = await createPair({ names: ['a.example'], type: 'rsa', rsaBits: 1_024 })
  const issuer = await createPair(ca)
  const cases: readonly [string, string][] = [
    ['', 'missing server certificate'],
    ['no PEM at all', 'missing server certificate'],
    [one.key, 'missing server certificate'],
    [one.certificate, 'missing private key'],
    [together(one) + two.key, 'secret contains multiple private keys'],
    [
      `${together(one)}-----BEGIN DH PARAMETERS-----\nAAAA\n-----END DH PARAMETERS-----\n`,
      'unsupported PEM block "DH PARAMETERS"',
    ],
    [one.certificate + two.key, 'the private key does not belong to the first certificate'],
    [issuer.certificate + together(one), 'the private key does not belong to the first certificate'],
    [together(weak), 'expected an RSA key of 2048 bits or more, found 1024'],
    [
      together({ ...one, certificate: '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n' }),
      'the certificate or its key cannot be read: ',
    ],
  ]
  for (const [text, problem] of cases) {
    await secret('web', text)
    expect((await rows()).get('web.east')).toEqual({
      secret: 'web',
      zone: 'east',
      problem: expect.stringContaining(problem),
    })
  }
})

test('T5 a broken secret keeps the last good certificate, and is reported until it is repaired', async () => {
  const { secret, gateway, zone, rows } = await scene()
  const [one, two] = [await createPair({ names: ['a.example'] }), await createPair({ names: ['b.example'] })]
  await zone('east')
  await gateway('web')
  await secret('web', together(one))
  const before = (await rows()).get('web.east')
  await secret('web', one.certificate + two.key)
  const problem = 'the private key does not belong to the first certificate'
  expect((await rows()).get('web.east')).toEqual({ ...before, refused: problem })
  // Who has never had it cannot be given what only a former version of the secret held.
  await zone('west')
  expect((await rows()).get('web.west')).toEqual({ secret: 'web', zone: 'west', problem })
  await secret('web', together(one))
  expect((await rows()).get('web.east')).toEqual(before)
  await secret('web', together(two))
  expect(good((await rows()).get('web.east')).names).toEqual(['b.example'])
})

test('T6 the store contains no private key in plain text in any version of a row, and no kind with a key is shown', async () => {
  const { store, secret, gateway, zone } = await scene()
  const [one, two] = [
    await createPair({ names: ['a.example'] }),
    await createPair({ names: ['a.example'], type: 'rsa' }),
  ]
  await zone('east')
  await gateway('web')
  await secret('web', together(one))
  await secret('web', together(two))
  const { revision } = await store.head()
  const versions: unknown[] = [await store.records({ after: 0, limit: 1_000 })]
  for (let at = 1; at <= revision; at += 1) versions.push(await store.scan({}, { at }))
  const text = JSON.stringify(versions)
  for (const { key } of [one, two]) {
    const body = key.split('\n').slice(1, -2)
    for (const line of body) expect(text).not.toContain(line)
    expect(text).not.toContain(
      Buffer.from(body[1] ?? '')
        .toString('base64')
        .slice(0, 40),
    )
  }
  expect(text).not.toContain('PRIVATE KEY')
  const shown = publicKinds.map(({ name }) => name)
  for (const kind of ['GatewayCertificate', 'SecretKey', 'SecretRequest', 'MeshRoot', 'AuthorityKey', 'AuthorityUse'])
    expect(shown).not.toContain(kind)
})
