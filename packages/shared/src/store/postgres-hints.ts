import type { Client } from 'pg'
import { type Clock, repeat } from '../env/clock.ts'
import type { Log } from '../env/log.ts'
import { supervise } from '../env/supervise.ts'
import { StoreOpenError } from './errors.ts'
import { createClient, type PostgresPlace, reasonOf } from './postgres-connection.ts'

/** How long a lost hint goes unnoticed. */
const pollEveryMs = 30_000
const redialEveryMs = 500

export interface Hints {
  /** There is a newer mark: the other processes are told, soon and once for many. */
  tell(): void
  close(): Promise<void>
}

/**
 * One connection by which the processes of a store wake each other. `heard` is called with 'told' when another process says that
 * there is a newer mark, and with 'lost' when one may have been missed: after a lost connection, and every half minute.
 *
 * NOTIFY stands in no commit. A transaction that notifies takes a lock of the whole server until it has ended, so commits that do
 * would wait for each other's disks, in every database of that server. Here it is a transaction of its own, which writes nothing,
 * after the commit; it carries no payload, and many commits share one.
 */
export async function openHints(
  deps: { readonly clock: Clock; readonly log: Log },
  place: PostgresPlace,
  heard: (what: 'told' | 'lost') => void,
): Promise<Hints> {
  const { clock, log } = deps
  const channel = `zonemesh_${place.schema}`
  let client: Client | undefined
  /** Ends the wait for the end of the present connection. */
  let resumed = () => {}
  let telling: Promise<void> | undefined
  let again = false
  const closing = new AbortController()

  async function dial(): Promise<void> {
    const next = createClient(place)
    try {
      await next.connect()
      const self = Number((await next.query('SELECT pg_backend_pid() AS pid')).rows[0]?.pid)
      next.on('notification', ({ processId }) => {
        // What this process tells the others it has heard from itself already.
        if (processId !== self) heard('told')
      })
      await next.query(`LISTEN ${channel}`)
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
    log.warn({ store: place.text, reason }, 'lost the store; trying again until it is back')
    resumed()
  }

  /** Keeps a connection, beginning with the one that is there, until it is lost. */
  async function keepConnection(): Promise<never> {
    if (!client) {
      await dial()
      closing.signal.throwIfAborted()
      log.info({ store: place.text }, 'the store is back')
      tell()
      heard('lost')
    }
    await new Promise<void>((resolve) => {
      resumed = resolve
    })
    throw new Error('the connection was lost')
  }

  /** A connection that only looks alive is found out here. */
  function poll(): void {
    const asked = client
    if (!asked) return
    heard('lost')
    asked.query('SELECT 1').catch((cause: unknown) => lose(asked, reasonOf(cause)))
  }

  async function send(): Promise<void> {
    do {
      again = false
      const asked = client
      if (!asked) return
      try {
        await asked.query(`NOTIFY ${channel}`)
      } catch (cause) {
        // The others find out by their poll.
        lose(asked, reasonOf(cause))
      }
    } while (again && !closing.signal.aborted)
  }

  function tell(): void {
    if (telling) {
      again = true
      return
    }
    telling = send().finally(() => {
      telling = undefined
    })
  }

  await dial().catch((cause: unknown) => {
    throw new StoreOpenError(`cannot open store ${place.text}: cannot listen to it: ${reasonOf(cause)}`, { cause })
  })
  const polling = repeat(clock, pollEveryMs, poll)
  const attempts = { attempt: keepConnection, judge: () => ({ waitMs: redialEveryMs }) }
  const keeping = supervise(clock, attempts, closing.signal)
  return {
    tell,
    async close() {
      closing.abort()
      polling[Symbol.dispose]()
      resumed()
      // The abort is the only end that it has.
      await keeping.catch(() => undefined)
      await telling
      // Not waited for: a server that is gone would not answer.
      void client?.end().catch(() => undefined)
    },
  }
}
