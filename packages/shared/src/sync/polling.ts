import { messageOf } from '../base/base.ts'
import { type Clock, repeat } from '../env/clock.ts'
import type { Log } from '../env/log.ts'
import { createTurns } from '../env/turns.ts'
import type { Store } from '../store/store.ts'
import { newestEpochs } from './epochs.ts'
import type { Formers } from './formers.ts'
import type { Marks } from './marks.ts'
import { exchangeEveryMs, gatherMs, type RemoteZone, type Replicas } from './replicas.ts'
import type { ZoneSessions } from './zone-sessions.ts'
import type { ZoneBoard } from './zone-status.ts'

interface Deps {
  readonly store: Store
  readonly clock: Clock
  readonly log: Log
  readonly board: ZoneBoard
  readonly marks: Marks
  readonly formers: Formers
  readonly sessions: Pick<ZoneSessions, 'byZone' | 'announce'>
  /** Undefined if no other process serves zones from this store. */
  readonly replicas: Replicas | undefined
}

/** The longest delay that a lost wake-up causes. One read serves all zones. */
const lookEveryMs = 2_000

/**
 * Keeps a global up to date with what happens outside of its own sessions, until disposed: it reads new marks of the
 * store, expires rows, and exchanges the statuses of zones with the other replicas.
 */
export function startPolling({ store, clock, log, board, marks, formers, sessions, replicas }: Deps) {
  /** Zones with a session on another replica, as of the last exchange. */
  let remote: ReadonlyMap<string, RemoteZone> = new Map()

  const marked = () => marks.look().then((mark) => board.marked(mark.revision))
  // If the store does not answer, the next look finds the mark.
  const listening = store.onMark(() => void marked().catch(() => undefined))
  const looking = repeat(clock, lookEveryMs, () =>
    look().catch((cause: unknown) => log.warn({ reason: messageOf(cause) }, 'cannot read the store')),
  )
  // `look` above already logs a store that does not answer.
  const turns = createTurns(clock, gatherMs, async () => replicas && exchange(replicas).catch(() => undefined))
  const exchanging = replicas && [
    repeat(clock, exchangeEveryMs, turns.run),
    store.notes.onWake(turns.soon),
    board.onChange(turns.soon),
  ]

  /** Finds what a lost wake-up has missed: commits and sessions of other processes, and rows that have expired. */
  async function look(): Promise<void> {
    const { revision } = await marks.look()
    if (board.marked(revision)) for (const { session } of sessions.byZone.values()) session.wake()
    await formers.look()
    if (!replicas) return
    const newest = await newestEpochs(store)
    for (const [zone, { session, epoch }] of [...sessions.byZone]) {
      if ((newest.get(zone) ?? 0) > epoch) session.end('fenced', 'a newer session was opened on another replica')
    }
  }

  /** Publishes the zones of this replica to the others and follows the zones that they publish. */
  async function exchange({ publish, collect }: Replicas): Promise<void> {
    const own = [...board.own()]
    await publish(
      new Map(own.map(([zone, known]) => [zone, { ...known, completeAt: sessions.byZone.get(zone)?.completeAt }])),
    )
    const before = remote
    remote = await collect()
    for (const zone of before.keys()) {
      if (!remote.has(zone) && !board.own().has(zone) && board.status(zone)?.connected)
        board.ended(zone, { reason: 'the replica that it was connected to is gone', goodbye: undefined })
    }
    for (const [zone, found] of remote) {
      if (sessions.byZone.has(zone)) continue
      board.followed(zone, found)
      if (found.completeAt !== before.get(zone)?.completeAt) sessions.announce(zone)
    }
  }

  return {
    remote: () => remote,
    [Symbol.dispose](): void {
      listening[Symbol.dispose]()
      looking[Symbol.dispose]()
      for (const one of [...(exchanging ?? []), turns]) one[Symbol.dispose]()
    },
  }
}
