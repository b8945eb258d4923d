import { createVirtualClock } from '@zonemesh/shared/env/clock.ts'
import { createSeededRandom } from '@zonemesh/shared/env/random.ts'
import { createMemoryStore } from '@zonemesh/shared/store/memory.ts'
import { expect, test } from 'vitest'
import { createAuthorityUse } from '../../src/secrets/use.ts'

test('ZR10 only the leader reports the roots in use, and its report covers the proxies of all replicas', async () => {
  const clock = createVirtualClock(1_000)
  const store = createMemoryStore({ clock, random: createSeededRandom(1) })
  let leads = false
  const use = createAuthorityUse({
    ...{ store, zone: 'east', clock, commit: store.commit },
    holder: { meshes: () => ['default'], trusted: () => ({ roots: ['old', 'new'], issuer: 'new', generation: 4 }) },
    secrets: { identityOf: () => undefined },
    leads: () => leads,
    otherUses: (mesh) => (mesh === 'default' ? [{ generation: 3, trusts: ['old'], shows: ['old'] }] : []),
  })
  const reported = async () => (await store.scan({ kind: 'AuthorityUse' })).map(({ spec }) => spec)
  await use.reconcile(() => undefined)
  expect(await reported()).toEqual([])
  expect(use.own()).toEqual({ default: { generation: 4, trusts: ['new', 'old'], shows: ['new'] } })
  leads = true
  await use.reconcile(() => undefined)
  expect(await reported()).toEqual([{ generation: 3, trusts: ['old'], shows: ['new', 'old'] }])
  use.close()
})
