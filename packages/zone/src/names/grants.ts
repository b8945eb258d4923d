import type { AddressBook, Now } from '@zonemesh/core/names/address-book.ts'
import { numberEntries, recalledNumbers } from '@zonemesh/core/names/recall.ts'
import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import type { Clock } from '@zonemesh/shared/env/clock.ts'
import type { Store } from '@zonemesh/shared/store/store.ts'
import { partsOf } from '@zonemesh/shared/sync/log/rounds.ts'
import type { Uplink, UplinkDeps } from '@zonemesh/shared/sync/uplink.ts'

interface Deps {
  readonly clock: Clock
  /** The store whose rounds carry what the book derives. */
  readonly store: Store
  readonly book: AddressBook
}

const subject = 'mesh-system:control-plane'

/** The numbers that the global grants to this zone for its names: asked for and stored when a session opens. */
export function createGrants({ clock, store, book }: Deps) {
  const now = (): Now => ({
    wallMs: clock.wallMs(),
    monotonicMs: clock.monotonicMs(),
    incarnation: store.incarnation,
  })
  const grants: NonNullable<UplinkDeps['grants']> = {
    request: () => book.request(now()),
    async granted({ position, reserved, recall }) {
      const isOlderCopy = position?.store === store.id && (await store.standing(position)) === 'diverged'
      const grant = reserved && { ...reserved, recalled: recall && recalledNumbers(recall), isOlderCopy }
      const changes = book.granted(grant, now())
      const why = { subject, intent: 'take the numbers that the global grants for names' }
      if (changes.length > 0) await store.commitRound(partsOf(changes, [], why))
      // Every commit gives numbers to the services that wait for one.
      if (book.isWaiting()) await store.commit({ changes: [], subject, intent: 'name the services that waited' })
    },
  }
  return {
    ...grants,
    /** Opens another session whenever few numbers are left. */
    follow: (uplink: Uplink): Disposable =>
      store.onMark(() => {
        if (uplink.state.value.phase === 'connected' && book.isShort(now()))
          uplink.redial('this zone needs more numbers for its names')
      }),
    /** Calls back with the numbers, as entries of the report to the global, now and whenever they change. */
    onNumbers(listener: (entries: Readonly<Record<string, JsonObject>>) => void): Disposable {
      let shown = -1
      const look = (): void => {
        if (shown === book.changes()) return
        shown = book.changes()
        listener(numberEntries(book.numbers()))
      }
      look()
      return store.onMark(look)
    },
  }
}
export type Grants = ReturnType<typeof createGrants>
