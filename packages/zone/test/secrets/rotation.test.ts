import type { SecretNeed } from '@zonemesh/core/emit/table.ts'
import type { AuthorityCertificateSpec, AuthorityUseSpec } from '@zonemesh/core/kinds/internal.ts'
import { createAuthorityHolder } from '@zonemesh/plane/authority/holder.ts'
import { createAuthorityOwner } from '@zonemesh/plane/authority/owner.ts'
import { certificatesIn } from '@zonemesh/plane/authority/pem.ts'
import { createMemorySealer } from '@zonemesh/plane/authority/seal.ts'
import { fingerprintOf, isSignedBy } from '@zonemesh/plane/authority/x509.ts'
import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import { createVirtualClock } from '@zonemesh/shared/env/clock.ts'
import { silentLog } from '@zonemesh/shared/env/log.ts'
import { createSeededRandom } from '@zonemesh/shared/env/random.ts'
import { globalOrigin } from '@zonemesh/shared/resource/resource.ts'
import { createMemoryStore } from '@zonemesh/shared/store/memory.ts'
import { expect, test } from 'vitest'
import { createPair } from '../../../plane/test/pki.ts'
import { createSecrets } from '../../src/secrets/secrets.ts'
import { createAuthorityUse } from '../../src/secrets/use.ts'

const builtin = (name: string) => ({ name, type: 'builtin' })
const mesh = 'default'

/** The configuration of an Envoy: the root of the certificate that it shows, and the roots that it trusts. */
interface EnvoyRoots {
  readonly shows: string
  readonly trusts: readonly string[]
}

/** A global and two zones over one store. The test decides when each of them takes its next step. */
async function scene(seed = 7) {
  const clock = createVirtualClock(Date.UTC(2026, 0, 1))
  const store = createMemoryStore({ clock, random: createSeededRandom(seed) })
  const base = { store, clock, log: silentLog, commit: store.commit }
  const put = (kind: string, name: string, spec: JsonObject, at = '') =>
    store.commit({
      changes: [{ op: 'put', key: { origin: globalOrigin, kind, mesh: at, name }, labels: {}, spec }],
      subject: 'test',
      intent: 'test',
    })
  const sealer = createMemorySealer()
  const owner = createAuthorityOwner({ ...base, sealer, origin: globalOrigin })
  const zones = ['east', 'west'].map((zone) => createZone({ ...base, sealer: createMemorySealer(), zone }))
  for (const { zone } of zones) await put('Zone', zone, { enabled: true })
  const setMesh = (enabledBackend: string, backends: readonly JsonObject[]) =>
    put('Mesh', mesh, { mtls: { enabledBackend, backends } })
  const settle = async () => {
    for (let round = 0; round < 12; round += 1) {
      await owner.reconcile()
      for (const zone of zones) await zone.settle()
    }
  }
  return {
    clock,
    store,
    owner,
    zones,
    setMesh,
    settle,
    put,
    sealer,
    async answer(zone: string) {
      const row = (await store.get({ origin: globalOrigin, kind: 'AuthorityCertificate', mesh, name: zone }))?.row
      // Rows of these kinds hold what the planes wrote.
      return row?.spec as AuthorityCertificateSpec | undefined
    },
    async use(zone: string) {
      return (await store.get({ origin: zone, kind: 'AuthorityUse', mesh, name: 'roots' }))?.row?.spec as
        | AuthorityUseSpec
        | undefined
    },
    /** Pairs of proxies in which one does not trust the root of the other. */
    distrustingPairs(): string[] {
      const all = zones.flatMap(({ proxies }) => [...proxies].map(([name, { roots }]) => ({ name, roots })))
      return all.flatMap((a) =>
        all.flatMap((b) =>
          a.roots && b.roots && !b.roots.trusts.includes(a.roots.shows) ? [`${b.name} does not trust ${a.name}`] : [],
        ),
      )
    },
  }
}

function createZone(base: Omit<Parameters<typeof createAuthorityHolder>[0], 'owner'>) {
  const { zone } = base
  const holder = createAuthorityHolder(base)
  const waiting: (() => void)[] = []
  const certificates = { resolve: () => undefined }
  const secrets = createSecrets({ holder, certificates, clock: base.clock, log: silentLog }, () => {
    for (const wake of waiting.splice(0)) wake()
  })
  const use = createAuthorityUse({ ...base, holder, secrets, leads: () => true, otherUses: () => [] })
  const needsOf = (proxy: string): readonly SecretNeed[] => [
    { type: 'identity', name: 'identity_cert:secret:default', mesh, services: [proxy], tags: [] },
    { type: 'authority', name: 'mesh_ca:secret:default', mesh },
  ]
  interface Proxy {
    roots: EnvoyRoots | undefined
    version: string
    readonly queue: { readonly serial: number; readonly roots: EnvoyRoots }[]
  }
  const proxies = new Map<string, Proxy>(
    [1, 2].map((at) => [`${zone}-${at}`, { roots: undefined, version: '', queue: [] }]),
  )
  let serial = 0

  async function publish(): Promise<void> {
    for (const [name, proxy] of proxies) {
      const needs = needsOf(name)
      if (holder.trusted(mesh).roots.length === 0) return
      // Waits until the certificate is issued.
      while (needs.some((need) => secrets.resolve(need) === undefined))
        await new Promise<void>((resolve) => waiting.push(resolve))
      const version = needs.map((need) => secrets.resolve(need)?.version).join()
      if (version === proxy.version) continue
      proxy.version = version
      serial += 1
      const [identity] = needs
      const shows = (identity && secrets.identityOf(identity)?.root) ?? ''
      proxy.queue.push({ serial, roots: { shows, trusts: holder.trusted(mesh).roots } })
      use.sent(name, serial, needs)
    }
  }
  const self = {
    zone,
    holder,
    proxies,
    /** The zone reads its rows and publishes new tables. */
    async read(): Promise<void> {
      const changed = await holder.reconcile()
      for (const [name, what] of changed) if (what === 'issuer') secrets.forget(name)
      await publish()
    },
    /** The zone writes its report to the owner. */
    report: () => use.reconcile(() => undefined),
    /** A proxy takes the next table that was sent to it. */
    async accept(name: string): Promise<void> {
      const proxy = proxies.get(name)
      const next = proxy?.queue.shift()
      if (!proxy || !next) return
      proxy.roots = next.roots
      use.served(name, next.serial)
    },
    /** The stream of a proxy closes and opens again. Its Envoy keeps its configuration. */
    async reconnect(name: string): Promise<void> {
      const proxy = proxies.get(name)
      if (!proxy) return
      use.gone(name)
      proxy.queue.splice(0)
      proxy.version = ''
      await publish()
    },
    async settle(): Promise<void> {
      await self.read()
      for (const [name, { queue }] of proxies) while (queue.length > 0) await self.accept(name)
      await self.report()
    },
  }
  return self
}

const onlyValue = <T>(found: readonly T[]): T | undefined => (new Set(found).size === 1 ? found[0] : undefined)

test('T13 a second backend is trusted as soon as it is listed, and signs nothing before it is enabled', async () => {
  const { zones, setMesh, settle, answer } = await scene()
  await setMesh('ca-1', [builtin('ca-1')])
  await settle()
  const first = await answer('east')
  expect(certificatesIn(first?.roots ?? '')).toHaveLength(1)
  await setMesh('ca-1', [builtin('ca-1'), builtin('ca-2')])
  await settle()
  const second = await answer('east')
  expect(certificatesIn(second?.roots ?? '')).toHaveLength(2)
  expect([second?.certificate, second?.notAfterMs]).toEqual([first?.certificate, first?.notAfterMs])
  const shown = zones.flatMap((zone) => [...zone.proxies.values()].map(({ roots }) => roots?.shows))
  expect(onlyValue(shown)).toBe(fingerprintOf(first?.roots ?? ''))
})

test('T14 a rotation waits for the zone whose proxies do not trust the new root yet, reports this, and continues with their last report', async () => {
  const { owner, zones, setMesh, settle, answer, use } = await scene()
  await setMesh('ca-1', [builtin('ca-1')])
  await settle()
  const [old] = zones[0]?.holder.trusted(mesh).roots ?? []
  const [east, west] = zones
  if (!east || !west) throw new Error('no zones')
  await setMesh('ca-2', [builtin('ca-2')])
  // All proxies accept their tables, except one in west.
  for (let round = 0; round < 5; round += 1) {
    await owner.reconcile()
    await east.settle()
    await west.read()
    await west.accept('west-1')
    await west.report()
  }
  const isSigned = async (zone: string) => {
    const roots = certificatesIn((await answer(zone))?.roots ?? '')
    return roots.map((root) => fingerprintOf(root) !== old && isSignedBy(await_(zone).certificate, root)).includes(true)
  }
  const answers = new Map([
    ['east', await answer('east')],
    ['west', await answer('west')],
  ])
  const await_ = (zone: string) => answers.get(zone) ?? { certificate: '' }
  expect([await isSigned('east'), await isSigned('west')]).toEqual([false, false])
  expect([(await use('east'))?.trusts.length, (await use('west'))?.trusts.length]).toEqual([2, 1])
  expect(owner.waits()).toEqual([
    { mesh, reason: expect.stringMatching(/"ca-2" signs when .* it waits for zone west$/) },
  ])
  await west.accept('west-2')
  await settle()
  expect(owner.waits()).toEqual([])
  answers.set('east', await answer('east'))
  answers.set('west', await answer('west'))
  expect([await isSigned('east'), await isSigned('west')]).toEqual([true, true])
  // No proxy shows the old root, so it is in no bundle any more.
  expect(certificatesIn((await answer('east'))?.roots ?? '').map(fingerprintOf)).not.toContain(old)
  expect((await use('west'))?.shows).toEqual(certificatesIn((await answer('east'))?.roots ?? '').map(fingerprintOf))
})

test('T15 a disabled zone delays no rotation, and keeps no root', async () => {
  const { owner, zones, setMesh, settle, answer, put } = await scene()
  await setMesh('ca-1', [builtin('ca-1')])
  await settle()
  const before = (await answer('east'))?.certificate
  await setMesh('ca-2', [builtin('ca-1'), builtin('ca-2')])
  for (let round = 0; round < 4; round += 1) {
    await owner.reconcile()
    await zones[0]?.settle()
  }
  expect((await answer('east'))?.certificate).toBe(before)
  await put('Zone', 'west', { enabled: false })
  for (let round = 0; round < 4; round += 1) {
    await owner.reconcile()
    await zones[0]?.settle()
  }
  expect((await answer('east'))?.certificate).not.toBe(before)
  // Its last report does not keep a root that is removed.
  await setMesh('ca-2', [builtin('ca-2')])
  for (let round = 0; round < 4; round += 1) {
    await owner.reconcile()
    await zones[0]?.settle()
  }
  expect(certificatesIn((await answer('east'))?.roots ?? '')).toHaveLength(1)
})

test('T17 a report about an older answer allows nothing, because the zone may have dropped a root since', async () => {
  const { owner, zones, setMesh, settle, answer, distrustingPairs } = await scene()
  const [east, west] = zones
  if (!east || !west) throw new Error('no zones')
  const both = [builtin('ca-1'), builtin('ca-2')]
  await setMesh('ca-1', both)
  await settle()
  const before = (await answer('east'))?.certificate
  await setMesh('ca-1', [builtin('ca-1')])
  await owner.reconcile()
  // West has dropped the second root, and the report of this has not arrived yet.
  await west.read()
  for (const name of west.proxies.keys()) await west.accept(name)
  await setMesh('ca-2', both)
  for (let round = 0; round < 3; round += 1) {
    await owner.reconcile()
    await east.settle()
    expect(distrustingPairs()).toEqual([])
  }
  expect((await answer('east'))?.certificate).toBe(before)
  await settle()
  expect([(await answer('east'))?.certificate === before, distrustingPairs()]).toEqual([false, []])
})

test('T16 in any order of rotation steps at zones and proxies, no proxy connects to a proxy whose root it does not trust', async () => {
  let switches = 0
  for (let seed = 1; seed <= 10; seed += 1) {
    const random = createSeededRandom(seed)
    const { owner, zones, setMesh, settle, distrustingPairs } = await scene(seed)
    const provided = await Promise.all([1, 2].map((at) => createPair({ authority: {}, commonName: `p${at}` })))
    const conf = (at: number) => ({
      cert: { inlineString: provided[at]?.certificate ?? '' },
      key: { inlineString: provided[at]?.key ?? '' },
    })
    await setMesh('ca-1', [builtin('ca-1')])
    await settle()
    const pick = <T>(list: readonly T[]): T => list[Math.floor(random.fraction() * list.length)] as T
    const actions = [
      () => owner.reconcile(),
      () => owner.reconcile(),
      () => pick(zones).read(),
      () => pick(zones).read(),
      () => pick(zones).report(),
      () => pick(zones).report(),
      ...[1, 2, 3].map(() => () => {
        const zone = pick(zones)
        return zone.accept(pick([...zone.proxies.keys()]))
      }),
      () => {
        const zone = pick(zones)
        return zone.reconnect(pick([...zone.proxies.keys()]))
      },
      () => {
        if (random.fraction() > 0.25) return Promise.resolve()
        switches += 1
        const all = [builtin('ca-1'), builtin('ca-2'), { name: 'own', type: 'provided', conf: conf(pick([0, 1])) }]
        const enabled = pick(all)
        // The other backends stay in the list, or are removed at once.
        return setMesh(enabled.name, pick([all, [enabled]]))
      },
    ]
    for (let step = 0; step < 160; step += 1) {
      await pick(actions)()
      expect(distrustingPairs(), `seed ${seed}, step ${step}`).toEqual([])
    }
    // The rotation ends: every proxy presents the enabled root.
    await setMesh('ca-2', [builtin('ca-2')])
    await settle()
    const shown = zones.flatMap((zone) => [...zone.proxies.values()].map(({ roots }) => roots?.shows))
    expect([onlyValue(shown), distrustingPairs()]).toEqual([zones[0]?.holder.trusted(mesh).roots[0], []])
    expect(zones[0]?.holder.trusted(mesh).roots).toHaveLength(1)
  }
  expect(switches).toBeGreaterThan(20)
})
