import { messageOf } from '../base/base.ts'
import { type Clock, repeat } from '../env/clock.ts'
import type { Log } from '../env/log.ts'
import type { Origin } from '../resource/resource.ts'
import type { Change, Commit, CommitOutcome, Store } from '../store/store.ts'
import { createLatest, type Latest } from '../streams/latest.ts'
import { createLeaderRecord, leaderKind } from './record.ts'
import { electionStep, type Watch } from './step.ts'

/** The right to run what only one replica of a plane may run. */
export interface Lead {
  /** Grows with every change of the lead: the revision of the row that names the leader. 0: there is one process only. */
  readonly term: number
  /**
   * Belongs into every commit that only the leader may make: the commit is refused once another process leads. Empty if
   * there is one process only.
   */
  readonly guards: readonly Change[]
}

export interface Leadership {
  /** The lead of this process; undefined while another one leads, or before the first look at the store. */
  readonly lead: Latest<Lead | undefined>
  /** The leader as this process knows it: its own name, that of another process, or '' before the first look. */
  leader(): string
  /** Resolves after the first look at the store. */
  readonly settled: Promise<void>
  /**
   * Looks at the store now. Rejects if another process leads, or if the store does not answer, so that nobody can say who
   * leads.
   */
  confirm(): Promise<void>
  /** Gives up the lead, so that another replica takes it at its next look. */
  close(): Promise<void>
}

interface Deps {
  readonly store: Store
  readonly clock: Clock
  readonly log: Log
}

interface Options {
  /** The plane that owns the row. */
  readonly origin: Origin
  /** The name of this process. No process ever reuses a name. */
  readonly instance: string
}

/** A commit that is refused once another process leads. */
export const asLeader = ({ guards }: Lead, commit: Commit): Commit => ({
  ...commit,
  changes: [...guards, ...commit.changes],
})

/** Whether a round was refused because another process leads by now. */
export function isRefusedByLead(parts: readonly Commit[], outcome: CommitOutcome): boolean {
  // A process that is too late to take the lead is refused as well, but by the row that it writes.
  const isGuarded = parts.some(({ changes }) =>
    changes.some(({ op, key }) => op === 'check' && key.kind === leaderKind),
  )
  return !outcome.ok && isGuarded && outcome.conflicts.some(({ key }) => key.kind === leaderKind)
}

/** How often each process looks, and how often the leader shows that it lives. */
export const lookEveryMs = 400
/** A leader without a beat for this long is replaced. With the look, another process leads after 2 s. */
export const silentMs = 1_600
/** What counts of the time between two looks. */
const gapMaxMs = 2 * lookEveryMs

/** The leadership of a plane whose store no other process can use. */
export function leadAlone(instance: string): Leadership {
  return {
    lead: createLatest<Lead | undefined>({ term: 0, guards: [] }),
    leader: () => instance,
    settled: Promise.resolve(),
    confirm: async () => undefined,
    close: async () => undefined,
  }
}

/**
 * Elects one of the processes that share a store. The row of the leader changes only with the lead, by compare-and-set;
 * its beats are notes, which cause no revision. A leader that pauses for too long is replaced, and the guard refuses its
 * later commits. While the store does not answer, the lead stays where it is: nobody can write.
 */
export function joinElection({ store, clock, log }: Deps, { origin, instance }: Options): Leadership {
  const record = createLeaderRecord(store, origin)
  const lead = createLatest<Lead | undefined>(undefined)
  const settled = Promise.withResolvers<void>()
  let leader = ''
  let watch: Watch | undefined
  let count = 0
  let looking: Promise<void> = Promise.resolve()
  let isClosed = false

  async function look(): Promise<void> {
    const seen = await record.read()
    if (isClosed) return
    const next = electionStep(instance, watch, seen, { nowMs: clock.monotonicMs(), silentMs, gapMaxMs })
    watch = next.watch
    const { decision } = next
    switch (decision.type) {
      case 'take': {
        const term = await record.take(instance, decision.from)
        // Without a term, another process was faster: the next look finds it.
        if (term === undefined || isClosed) return
        log.warn({ former: decision.from?.instance, term }, 'this replica leads now')
        return begin(term, 1)
      }
      case 'lead':
        return begin(decision.term, decision.nextCount)
      case 'follow':
        leader = decision.leader
        if (lead.value) log.warn({ leader }, 'another replica leads now')
        return lead.value && lead.set(undefined)
    }
  }

  async function begin(term: number, next: number): Promise<void> {
    leader = instance
    count = next
    // Also after a commit whose answer was lost.
    if (lead.value?.term !== term) lead.set({ term, guards: [record.guard(term)] })
    await record.beat({ term, count, resigned: false })
  }

  function lookOnce(): Promise<void> {
    looking = look()
      .catch((cause: unknown) => log.debug({ reason: messageOf(cause) }, 'cannot look for the leader'))
      .finally(settled.resolve)
    return looking
  }

  const timer = repeat(clock, lookEveryMs, lookOnce, 0)
  return {
    lead,
    leader: () => leader,
    settled: settled.promise,
    async confirm() {
      const asked = looking.then(look)
      looking = asked.catch(() => undefined)
      await asked
      if (!lead.value) throw new Error(`the replica ${leader || '(not yet known)'} leads`)
    },
    async close() {
      isClosed = true
      timer[Symbol.dispose]()
      await looking
      settled.resolve()
      const own = lead.value
      lead.set(undefined)
      if (own) await resign(record, { term: own.term, count: count + 1 }, log)
    },
  }
}

type LeaderRecord = ReturnType<typeof createLeaderRecord>

const resign = (record: LeaderRecord, last: { readonly term: number; readonly count: number }, log: Log) =>
  record.beat({ ...last, resigned: true }).catch((cause: unknown) => {
    log.debug({ reason: messageOf(cause) }, 'cannot resign: another replica leads after a while')
  })

/**
 * Runs something while this process leads: starts it with each new lead, and disposes it when the lead is lost. One runs
 * at a time. Disposing the result stops it.
 */
export function whileLeading<T extends AsyncDisposable>(
  { lead }: Pick<Leadership, 'lead'>,
  start: (lead: Lead) => T,
): { running(): T | undefined } & AsyncDisposable {
  const stop = new AbortController()
  let running: T | undefined
  const following = follow()
  async function follow(): Promise<void> {
    let term: number | undefined
    for await (const _ of lead.watch(stop.signal)) {
      const own = lead.value
      if (own?.term === term) continue
      const former = running
      running = undefined
      await former?.[Symbol.asyncDispose]()
      if (stop.signal.aborted) return
      term = lead.value?.term
      running = lead.value && start(lead.value)
    }
  }
  return {
    running: () => running,
    async [Symbol.asyncDispose]() {
      stop.abort()
      await following
      await running?.[Symbol.asyncDispose]()
      running = undefined
    },
  }
}

/** Runs something once with each new lead of this process, until disposed. */
export const onLead = (leadership: Pick<Leadership, 'lead'>, run: () => void): AsyncDisposable =>
  whileLeading(leadership, () => {
    run()
    return { [Symbol.asyncDispose]: async () => undefined }
  })
