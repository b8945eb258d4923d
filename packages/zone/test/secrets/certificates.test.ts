import { identitySecret } from '@zonemesh/core/emit/secrets.ts'
import type { GatewayCertificateSpec, SecretRequestSpec } from '@zonemesh/core/kinds/internal.ts'
import { createMemorySealer, type Sealer } from '@zonemesh/plane/authority/seal.ts'
import { keyIdOf } from '@zonemesh/plane/certificates/envelope.ts'
import { createCertificateKeeper } from '@zonemesh/plane/certificates/keeper.ts'
import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import { createVirtualClock } from '@zonemesh/shared/env/clock.ts'
import { silentLog } from '@zonemesh/shared/env/log.ts'
import { createSeededRandom } from '@zonemesh/shared/env/random.ts'
import { createMemoryStore } from '@zonemesh/shared/store/memory.ts'
import { expect, test } from 'vitest'
import { createPair, type Pair, together } from '../../../plane/test/pki.ts'
import { createCertificates } from '../../src/secrets/certificates.ts'

const own = (kind: string, name: string, mesh = 'default') => ({ origin: 'home', kind, mesh, name })
const source = 'home/GatewayCertificate/default/web.home'

/** A standalone zone over a memory store, whose listener names the secret `web`. */
function scene() {
  const clock = createVirtualClock(Date.UTC(2026, 0, 1))
  const store = createMemoryStore({ clock, random: createSeededRandom(7) })
  const sealer = createMemorySealer()
  const base = { store, sealer, origin: 'home', zone: 'home', clock, log: silentLog, commit: store.commit }
  const keeper = createCertificateKeeper(base)
  const put = (key: ReturnType<typeof own>, spec: JsonObject) =>
    store.commit({ changes: [{ op: 'put', key, labels: {}, spec }], subject: 'test', intent: 'test' })
  const said: string[] = []
  /** One life of the zone: what it has opened is gone with it. */
  const start = (with_: Sealer = sealer) =>
    createCertificates(
      { ...base, sealer: with_ },
      {
        changed: () => said.push('changed'),
        leaveOut: (_source, hash) => said.push(`out ${hash.slice(0, 8)}`),
        letIn: (_source, hash) => said.push(`in ${hash.slice(0, 8)}`),
      },
    )
  const row = async () =>
    // Rows of this kind hold what the keeper wrote.
    (await store.get(own('GatewayCertificate', 'web.home')))?.row?.spec as GatewayCertificateSpec | undefined
  return {
    clock,
    store,
    keeper,
    start,
    put,
    said,
    secret: (text: string) => put(own('Secret', 'web'), { sealed: sealer.seal(Buffer.from(text).toString('base64')) }),
    async prepare() {
      await put(own('Zone', 'home', ''), { enabled: true })
      const certificates = [{ secret: 'web' }]
      const listener = { port: 443, protocol: 'HTTPS', tls: { mode: 'TERMINATE', certificates } }
      await put(own('MeshGateway', 'edge'), { selectors: [], conf: { listeners: [listener] } })
    },
    row,
    async request() {
      // Rows of this kind hold what the zone wrote.
      return (await store.get(own('SecretRequest', 'listeners', '')))?.row?.spec as SecretRequestSpec | undefined
    },
    async need() {
      const spec = await row()
      if (!spec || !('sealed' in spec)) throw new Error('no certificate')
      const { keyType, fingerprint } = spec
      return {
        type: 'certificate',
        name: `cert.${keyType}:secret:web`,
        mesh: 'default',
        source: { secret: 'web' },
        fingerprint,
        contribution: { source, hash: fingerprint },
      } as const
    },
  }
}

const shown = (name: string, { certificate, key }: Pair) => identitySecret(name, certificate, key)

test('T7 a zone creates its key at the first start, publishes the public half, and serves certificates that are sealed for it', async () => {
  const { keeper, start, prepare, secret, need, request, store, said } = scene()
  await prepare()
  const pair = await createPair({ names: ['a.example'] })
  await secret(together(pair))
  const certificates = start()
  await certificates.reconcile()
  expect((await request())?.publicKey).toEqual({
    kty: 'EC',
    crv: 'P-256',
    x: expect.any(String),
    y: expect.any(String),
  })
  await keeper.reconcile()
  const first = await need()
  expect(certificates.resolve(first)).toBeUndefined()
  await certificates.reconcile()
  const resource = certificates.resolve(first)
  expect(resource).toEqual({
    ...shown('cert.ecdsa:secret:web', pair),
    contributions: new Map([[source, first.fingerprint]]),
  })
  // Asked again, it is the same object: nothing is encoded twice.
  expect(certificates.resolve(first)).toBe(resource)
  expect(said).toEqual(['changed'])

  const asked = await request()
  const again = start()
  await again.reconcile()
  expect([await request(), again.resolve(first)]).toEqual([asked, resource])
  expect(JSON.stringify(await store.scan({}))).not.toContain('PRIVATE KEY')
  expect(JSON.stringify(await store.scan({}))).not.toContain('"d"')
})

test('T8 a changed secret is a new resource with the same name, as soon as the table refers to it', async () => {
  const { keeper, start, prepare, secret, need, said } = scene()
  await prepare()
  const [one, two] = [await createPair({ names: ['a.example'] }), await createPair({ names: ['b.example'] })]
  await secret(together(one))
  const certificates = start()
  await certificates.reconcile()
  await keeper.reconcile()
  await certificates.reconcile()
  const before = await need()
  await secret(together(two))
  await keeper.reconcile()
  const after = await need()
  expect(after.name).toBe(before.name)
  // The table is made of the new row, which is not open yet: nothing is served until it is.
  expect(certificates.resolve(after)).toBeUndefined()
  await certificates.reconcile()
  expect(certificates.resolve(after)).toMatchObject(shown(after.name, two))
  expect(said).toEqual(['changed', 'changed'])
})

test('T9 a row that is sealed for a lost key leaves its chain out, and the chain returns when the row is sealed again', async () => {
  const { keeper, start, prepare, secret, need, request, said, row } = scene()
  await prepare()
  const pair = await createPair({ names: ['a.example'] })
  await secret(together(pair))
  const former = start()
  await former.reconcile()
  await keeper.reconcile()
  const firstKey = (await request())?.keyId

  const certificates = start(createMemorySealer())
  await certificates.reconcile()
  const nextKey = (await request())?.keyId
  expect(nextKey).not.toBe(firstKey)
  const first = await need()
  const hash = first.fingerprint.slice(0, 8)
  expect([said, certificates.resolve(first)]).toEqual([[`out ${hash}`], undefined])
  const reason = expect.stringContaining('sealed for a key that this zone has no more')
  expect(certificates.verdicts()).toEqual([{ source: 'home/Secret/default/web', reason }])
  // Looking again makes no other key: the answer is on its way.
  await certificates.reconcile()
  expect((await request())?.keyId).toBe(nextKey)

  await keeper.reconcile()
  const sealed = await row()
  expect(sealed && 'sealed' in sealed && keyIdOf(sealed.sealed)).toBe(nextKey)
  await certificates.reconcile()
  expect([said, certificates.verdicts()]).toEqual([[`out ${hash}`, `in ${hash}`, 'changed'], []])
  expect(certificates.resolve(await need())).toMatchObject(shown('cert.ecdsa:secret:web', pair))
})

test('T10 a row for the own key that does not open creates a new key, at most once a minute, and good certificates stay served', async () => {
  const { clock, keeper, start, prepare, secret, need, request, put, row, said } = scene()
  await prepare()
  const pair = await createPair({ names: ['a.example'] })
  await secret(together(pair))
  const certificates = start()
  await certificates.reconcile()
  await keeper.reconcile()
  await certificates.reconcile()
  const spec = await row()
  if (!spec || !('sealed' in spec)) throw new Error('no certificate')
  const firstKey = (await request())?.keyId
  const damage = async (fingerprint: string) => {
    const parts = spec.sealed.split('.')
    const sealed = [parts[0], parts[1], parts[2], 'AAAA', parts[4]].join('.')
    await put(own('GatewayCertificate', 'web.home'), { ...(spec as JsonObject), sealed, fingerprint })
  }
  await damage('f'.repeat(64))
  await certificates.reconcile()
  const nextKey = (await request())?.keyId
  expect(nextKey).not.toBe(firstKey)
  expect(certificates.resolve(await need())).toMatchObject(shown('cert.ecdsa:secret:web', pair))
  expect(said).toEqual(['changed'])
  expect(certificates.verdicts()[0]?.reason).toMatch(
    /cannot be opened: .*; the certificate from before is still served$/,
  )
  await keeper.reconcile()
  await certificates.reconcile()
  expect(certificates.verdicts()).toEqual([])
  clock.advance(59_000)
  await certificates.reconcile()
  expect((await request())?.keyId).toBe(nextKey)
})

test('T11 a secret that is broken or deleted is reported, and the former certificate is served as long as the row contains it', async () => {
  const { store, keeper, start, prepare, secret, need } = scene()
  await prepare()
  const [one, two] = [await createPair({ names: ['a.example'] }), await createPair({ names: ['b.example'] })]
  const certificates = start()
  await certificates.reconcile()
  await secret('rubbish')
  await keeper.reconcile()
  await certificates.reconcile()
  const at = { source: 'home/Secret/default/web' }
  expect(certificates.verdicts()).toEqual([{ ...at, reason: 'missing server certificate' }])
  await secret(together(one))
  await keeper.reconcile()
  await certificates.reconcile()
  expect(certificates.verdicts()).toEqual([])
  await secret(one.certificate + two.key)
  await keeper.reconcile()
  await certificates.reconcile()
  const reason = 'the private key does not belong to the first certificate; the certificate from before is still served'
  expect(certificates.verdicts()).toEqual([{ ...at, reason }])
  const last = await need()
  expect(certificates.resolve(last)).toMatchObject(shown('cert.ecdsa:secret:web', one))
  await store.commit({ changes: [{ op: 'delete', key: own('Secret', 'web') }], subject: 'test', intent: 'test' })
  await keeper.reconcile()
  await certificates.reconcile()
  expect([certificates.verdicts(), certificates.resolve(last)]).toEqual([[], undefined])
})

test('T12 an inline certificate is served as it is written in the listener', async () => {
  const { start } = scene()
  const pair = await createPair({ names: ['a.example'], type: 'rsa' })
  const contribution = { source: 'home/MeshGateway/default/edge', hash: 'h' }
  const need = { type: 'certificate', mesh: 'default', fingerprint: 'h', contribution } as const
  const name = 'cert.rsa:inline:a.example'
  expect(start().resolve({ ...need, name, source: { pem: together(pair) } })).toEqual({
    ...shown(name, pair),
    contributions: new Map([[contribution.source, 'h']]),
  })
})
