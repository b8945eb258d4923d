import { StoreUnavailableError } from './errors.ts'
import type { Ask, PostgresPlace } from './postgres-connection.ts'
import type { statementsOf } from './postgres-statements.ts'
import type { Position } from './store.ts'

/** What this process has seen of the history of its store. */
export interface History {
  /** The store has this head, or had it at a moment. */
  saw(head: Position): void
  /** Throws if the server of a new connection lacks the newest commit that this process has seen. */
  require(ask: Ask): Promise<void>
  /** Throws if any server has lacked one. */
  requireNothingLost(): void
}

/**
 * A standby that takes over, or a server that crashes without `fsync`, may lack the newest commits. This process has
 * already sent them to readers and has them in its memory, while the store writes others under their revisions. Only a
 * new process, which reads everything again, can continue. Any such change needs a new connection, so each one is
 * checked before its first use. `onLost` gets the reason, once; from then on no connection is used. Callers get the error
 * of an outage, because the next process answers them.
 */
export function createHistory(
  place: PostgresPlace,
  sql: Pick<ReturnType<typeof statementsOf>, 'standing'>,
  onLost: (reason: Error) => void,
): History {
  let newest: Position | undefined
  let lost: Error | undefined

  function lose(found: string): Error {
    const expected = `expected revision ${newest?.revision} with commit ${newest?.commitId}, which this process has seen`
    const cause = 'its history was rolled back; start this control plane again'
    lost = new StoreUnavailableError(`cannot use store ${place.text}: ${expected}, found ${found}: ${cause}`)
    onLost(lost)
    return lost
  }

  function requireNothingLost(): void {
    if (lost) throw lost
  }

  return {
    saw(head) {
      requireNothingLost()
      // A connection to a former server, which continues beside the new one.
      if (head.revision === newest?.revision && head.commitId !== newest.commitId) throw lose(`commit ${head.commitId}`)
      if (head.revision >= (newest?.revision ?? 0)) newest = head
    },
    async require(ask) {
      const seen = newest
      if (!seen) return
      const [found] = await ask(sql.standing, [seen.revision])
      requireNothingLost()
      // Another store has a message of its own.
      if (found?.['store'] !== seen.store || found['asked_id'] === seen.commitId) return
      throw lose(found['asked_id'] ? `commit ${found['asked_id']}` : `revision ${found['revision']}`)
    },
    requireNothingLost,
  }
}
