import { createAnnouncements } from '@zonemesh/core/edge/announcements.ts'
import { createAddressBook } from '@zonemesh/core/names/address-book.ts'
import type { Clock } from '@zonemesh/shared/env/clock.ts'
import { silentLog } from '@zonemesh/shared/env/log.ts'
import type { Change, Commit, Store } from '@zonemesh/shared/store/store.ts'
import { openDerivingStore } from '@zonemesh/zone/commits/deriving-store.ts'
import type { OpenedStore, OpenStore } from './store.ts'

export const zone = 'west'

/** The store as a zone opens it: with the rows derived from each round. */
export const asZone = (clock: Clock, store: Store): Promise<Store> =>
  openDerivingStore({ clock, log: silentLog }, store, [createAnnouncements({ zone }), createAddressBook({ zone })])

/** Opens every store as a zone does, also when it is reopened. */
export const openAsZone =
  (clock: Clock, open: OpenStore): OpenStore =>
  async (options) => {
    const wrapped = async (opened: OpenedStore): Promise<OpenedStore> => ({
      store: await asZone(clock, opened.store),
      reopen: async () => wrapped(await opened.reopen()),
      remove: opened.remove,
    })
    return wrapped(await open(options))
  }

export const largeRows = 2_500
const rowsPerPart = 999

const dataplane = (index: number, turn: number): Change => ({
  op: 'put',
  key: { origin: zone, kind: 'Dataplane', mesh: 'default', name: `d${String(index).padStart(4, '0')}` },
  labels: {},
  spec: {
    turn,
    networking: {
      address: '10.0.0.1',
      inbound: [{ port: 8000, tags: { 'kuma.io/service': `s${turn}-${index % 1_200}` } }],
    },
  },
})

/** A round of three parts with more derived rows than fit into them. Its position moves in the last part. */
export function largeRound(turn: number): readonly Commit[] {
  const changes = Array.from({ length: largeRows }, (_, index) => dataplane(index, turn))
  const position: Change = {
    op: 'put',
    key: { origin: zone, kind: 'SyncPosition', mesh: '', name: 'global' },
    labels: {},
    spec: { turn },
  }
  return [0, rowsPerPart, 2 * rowsPerPart].map((at) => {
    const part = changes.slice(at, at + rowsPerPart)
    return { subject: 's', intent: 'i', changes: part.length < rowsPerPart ? [...part, position] : part }
  })
}
