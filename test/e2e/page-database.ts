import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { type PostgresServer, startPostgres } from '../contract/postgres-server.ts'
import type { Machine } from './machines.ts'

interface DatabaseOptions {
  /** The folder of the programs of the server, if the page needs another version than the pinned one. */
  readonly programs?: string
}

/** What a page asks its reader to have: a PostgreSQL on the usual port of the machine. */
export const startDatabase = ({ pid }: Machine, { programs }: DatabaseOptions = {}): Promise<PostgresServer> =>
  startPostgres({
    ...{ durable: true, user: 'zonemesh', password: 'secret', port: 5432 },
    ...(programs === undefined ? {} : { programs }),
    within: ['nsenter', '--target', String(pid), '--net', '--setuid', '65534', '--setgid', '65534', '--'],
  })

/**
 * The programs of the server that came with the installed pg_dump, as Debian installs them: pg_dump refuses a server that is
 * newer than itself.
 */
export function serverOfPgDump(): string {
  const { stdout } = spawnSync('pg_dump', ['--version'], { encoding: 'utf8' })
  const [, version] = /\(PostgreSQL\) (\d+)/.exec(stdout ?? '') ?? []
  const programs = `/usr/lib/postgresql/${version}/bin`
  if (existsSync(`${programs}/postgres`)) return programs
  throw new Error(
    `this page needs pg_dump and the PostgreSQL server of its version, as in ${programs}: install postgresql`,
  )
}
