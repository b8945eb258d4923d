import type { AddressBook, Now } from '@zonemesh/core/names/address-book.ts'
import { numberEntries, recalledNumbers } from '@zonemesh/core/names/recall.ts'
import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import type { Clock } from '@zonemesh/shared/env/clock.ts'
import { partsOf } from '@zonemesh/shared/sync/log/rounds.ts'
import type { Uplink, UplinkDeps } from '@zonemesh/shared/sync/uplink.ts'
import type { DerivingStore } from '../commits/deriving-store.ts'

interface Deps {
  readonly clock: Clock
  /** The deriving store: its rounds carry the rows that the book derives. */
  readonly store: DerivingStore
  readonly book: AddressBook
}

/** A session that brought too few numbers is not followed by another one at once. */
const redialEveryMs = 10_000

const subject = 'mesh-system:control-plane'

/** Requests the numbers that the global grants to this zone for its names, and stores them, when a session opens. */
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
      const why = { subject, intent: 'store the numbers that the global grants for names' }
      if (changes.length > 0) await store.commitRound(partsOf(changes, [], why))
      // Every commit assigns numbers to the services that wait for one.
      if (book.isWaiting())
        await store.commit({ changes: [], subject, intent: 'assign numbers to the services that waited' })
    },
  }
  return {
    ...grants,
    /** Opens a new session, which requests more numbers, whenever few numbers are left. */
    follow(uplink: () => Uplink | undefined): Disposable {
      let lastMs = Number.NEGATIVE_INFINITY
      return store.onDerived(() => {
        const session = uplink()
        if (session?.state.value.phase !== 'connected' || !book.isShort(now())) return
        if (clock.monotonicMs() - lastMs < redialEveryMs) return
        lastMs = clock.monotonicMs()
        session.redial('this zone needs more numbers for its names')
      })
    },
    /** The numbers as entries of the report to the global. */
    entries: (): Readonly<Record<string, JsonObject>> => numberEntries(book.numbers()),
    /** Calls back whenever the numbers change. */
    onNumbers(listener: () => void): Disposable {
      let reportedChanges = book.changes()
      return store.onDerived(() => {
        if (reportedChanges === book.changes()) return
        reportedChanges = book.changes()
        listener()
      })
    },
  }
}
export type Grants = ReturnType<typeof createGrants>
