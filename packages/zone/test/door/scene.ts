import { createMemorySealer } from '@zonemesh/plane/authority/seal.ts'
import { createVirtualClock } from '@zonemesh/shared/env/clock.ts'
import { silentLog } from '@zonemesh/shared/env/log.ts'
import { createSeededRandom } from '@zonemesh/shared/env/random.ts'
import { createMemoryStore } from '@zonemesh/shared/store/memory.ts'
import type { Store } from '@zonemesh/shared/store/store.ts'
import { createRegistrations } from '../../src/door/registration.ts'

/** The registrations of zone east over a memory store that contains the mesh "default". */
export async function createScene(wrap: (store: Store) => Store = (store) => store) {
  const clock = createVirtualClock(Date.UTC(2026, 0, 1))
  const inner = createMemoryStore({ clock, random: createSeededRandom(7) })
  const store = wrap(inner)
  const connected = new Set<string>()
  const leaving = new Set<string>()
  const registrations = createRegistrations({
    ...{ store, zone: 'east', role: 'zone', sealer: createMemorySealer(), clock, log: silentLog },
    placement: { isLoopbackOnly: false, ports: () => new Set([5681]) },
    isConnected: (proxy) => connected.has(proxy),
    isLeaving: (proxy) => leaving.has(proxy),
  })
  const key = { origin: 'east', kind: 'Mesh', mesh: '', name: 'default' }
  await inner.commit({ changes: [{ op: 'put', key, labels: {}, spec: {} }], subject: 'test', intent: 'test' })
  return { clock, store: inner, registrations, connected, leaving }
}

export const dataplaneOf = (name: string, service = 'web', more: object = {}) => ({
  type: 'Dataplane',
  mesh: 'default',
  name,
  networking: { address: '10.0.0.1', inbound: [{ port: 80, tags: { 'kuma.io/service': service } }] },
  ...more,
})
