import type { Client } from 'pg'
import { type Clock, repeat } from '../env/clock.ts'
import type { Log } from '../env/log.ts'
import { supervise } from '../env/supervise.ts'
import { StoreOpenError } from './errors.ts'
import { createClient, type PostgresPlace, reasonOf } from './postgres-connection.ts'
import { lockWhileOpen } from './postgres-schema.ts'
import type { Topic } from './wakeups.ts'

/** The longest delay that a lost hint causes. */
const pollEveryMs = 30_000
const redialEveryMs = 500

export interface Hints {
  /** Notifies the other processes. Several calls may share one notification. */
  notify(topic: Topic): void
  close(): Promise<void>
}

/**
 * One connection with which the processes of a store wake each other. `onHint` is called with the topic of a
 * notification of another process, and with 'lost' if one may have been missed: after a lost connection, and every half
 * minute.
 *
 * NOTIFY is not part of a commit. A transaction with NOTIFY holds a lock of the whole server until it ends, so such
 * commits would wait for each other's disks in every database of the server. Here NOTIFY is a separate transaction
 * after the commit. It writes nothing, and many commits share one. Its payload is empty for a mark, as in former builds.
 */
export async function openHints(
  deps: { readonly clock: Clock; readonly log: Log },
  place: PostgresPlace,
  onHint: (what: Topic | 'lost') => void,
): Promise<Hints> {
  const { clock, log } = deps
  const channel = `zonemesh_${place.schema}`
  let client: Client | undefined
  /** Ends the wait in `keepConnection`. */
  let resumed = () => {}
  let notifying: Promise<void> | undefined
  /** The topics that wait for the next notification. */
  const waiting = new Set<Topic>()
  const closing = new AbortController()

  async function dial(): Promise<void> {
    const next = createClient(place)
    try {
      await next.connect()
      const self = Number((await next.query('SELECT pg_backend_pid() AS pid')).rows[0]?.pid)
      next.on('notification', ({ processId, payload }) => {
        // The listeners of this process already have its own marks.
        if (processId !== self) onHint(payload === 'notes' ? 'notes' : 'mark')
      })
      await next.query(`${lockWhileOpen(place.schema)}; LISTEN ${channel}`)
    } catch (cause) {
      void next.end().catch(() => undefined)
      throw cause
    }
    client = next
    next.once('end', () => lose(next, 'the connection has ended'))
  }

  function lose(lost: Client, reason: string): void {
    if (client !== lost || closing.signal.aborted) return
    client = undefined
    void lost.end().catch(() => undefined)
    log.warn({ store: place.text, reason }, 'lost the connection to the store; reconnecting')
    resumed()
  }

  /** Dials if there is no connection, and waits until the connection is lost. */
  async function keepConnection(): Promise<never> {
    if (!client) {
      await dial()
      closing.signal.throwIfAborted()
      log.info({ store: place.text }, 'the store answers again')
      notify('mark')
      onHint('lost')
    }
    await new Promise<void>((resolve) => {
      resumed = resolve
    })
    throw new Error('the connection was lost')
  }

  /** Detects a connection that looks alive but does not answer. */
  function poll(): void {
    const current = client
    if (!current) return
    onHint('lost')
    current.query('SELECT 1').catch((cause: unknown) => lose(current, reasonOf(cause)))
  }

  async function send(): Promise<void> {
    while (waiting.size > 0 && !closing.signal.aborted) {
      const current = client
      const topics = [...waiting]
      waiting.clear()
      if (!current) return
      try {
        const texts = topics.map((topic) => (topic === 'mark' ? `NOTIFY ${channel}` : `NOTIFY ${channel}, '${topic}'`))
        await current.query(texts.join('; '))
      } catch (cause) {
        // The other processes find the mark with their poll.
        lose(current, reasonOf(cause))
      }
    }
  }

  function notify(topic: Topic): void {
    waiting.add(topic)
    notifying ??= send().finally(() => {
      notifying = undefined
    })
  }

  await dial().catch((cause: unknown) => {
    throw new StoreOpenError(
      `cannot open store ${place.text}: cannot subscribe to its notifications: ${reasonOf(cause)}`,
      { cause },
    )
  })
  const polling = repeat(clock, pollEveryMs, poll)
  const attempts = { attempt: keepConnection, judge: () => ({ waitMs: redialEveryMs }) }
  const keeping = supervise(clock, attempts, closing.signal)
  return {
    notify,
    async close() {
      closing.abort()
      polling[Symbol.dispose]()
      resumed()
      // `supervise` ends only by throwing, here because of the abort.
      await keeping.catch(() => undefined)
      await notifying
      // Not awaited, because a server that is down would not answer.
      void client?.end().catch(() => undefined)
    },
  }
}
