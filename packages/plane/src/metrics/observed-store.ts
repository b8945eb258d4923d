import type { Clock } from '@zonemesh/shared/env/clock.ts'
import { isRefusedByLead } from '@zonemesh/shared/leader/election.ts'
import { HorizonError } from '@zonemesh/shared/store/errors.ts'
import type { Commit, CommitOutcome, Store } from '@zonemesh/shared/store/store.ts'
import { wrapStore } from '@zonemesh/shared/store/wrap.ts'
import type { Metrics } from './metrics.ts'

type Operation = 'commit' | 'head' | 'mark' | 'get' | 'scan' | 'changes' | 'history' | 'records' | 'standing'

const resultOf = (outcome: CommitOutcome): string =>
  !outcome.ok ? 'refused' : outcome.written.length > 0 ? 'written' : 'empty'

/**
 * A store that measures its operations. It wraps the store itself, below everything that derives, limits or follows
 * rows, so that a commit is counted once and with the time that the disk or the database takes.
 */
export function observeStore(store: Store, clock: Pick<Clock, 'monotonicMs'>, metrics: Metrics): Store {
  let revision = 0

  async function timed<T>(operation: Operation, run: () => Promise<T>): Promise<T> {
    const sinceMs = clock.monotonicMs()
    try {
      const result = await run()
      metrics.observe('zonemesh_store_operation_duration_seconds', { operation }, clock.monotonicMs() - sinceMs)
      return result
    } catch (thrown) {
      // A reader that asks for pruned versions is answered: it reads the whole state instead.
      if (!(thrown instanceof HorizonError)) metrics.count('zonemesh_store_failures_total', { operation })
      throw thrown
    }
  }

  async function counted(parts: readonly Commit[], run: () => Promise<CommitOutcome>): Promise<CommitOutcome> {
    try {
      const outcome = await timed('commit', run)
      metrics.count('zonemesh_store_commits_total', { result: resultOf(outcome) })
      if (isRefusedByLead(parts, outcome)) metrics.count('zonemesh_lead_commits_refused_total', {})
      if (!outcome.ok) return outcome
      metrics.count('zonemesh_store_rows_written_total', {}, outcome.written.length)
      revision = Math.max(revision, outcome.position.revision)
      return outcome
    } catch (thrown) {
      metrics.count('zonemesh_store_commits_total', { result: 'failed' })
      throw thrown
    }
  }

  metrics.onScrape(() => {
    metrics.set('zonemesh_store_revision', {}, revision)
    metrics.set('zonemesh_store_fault', {}, store.fault() === undefined ? 0 : 1)
  })
  return wrapStore(store, {
    head: () => timed('head', () => store.head()),
    async mark() {
      const mark = await timed('mark', () => store.mark())
      revision = Math.max(revision, mark.revision)
      return mark
    },
    commitRound: (parts, options) => counted(parts, () => store.commitRound(parts, options)),
    commit: (commit) => counted([commit], () => store.commit(commit)),
    get: (key) => timed('get', () => store.get(key)),
    scan: (selection, options) => timed('scan', () => store.scan(selection, options)),
    changesSince: (after, through, options) => timed('changes', () => store.changesSince(after, through, options)),
    history: (key) => timed('history', () => store.history(key)),
    records: (options) => timed('records', () => store.records(options)),
    standing: (position) => timed('standing', () => store.standing(position)),
  })
}
