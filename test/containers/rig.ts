import { systemRandom } from '@zonemesh/shared/env/random.ts'
import { GenericContainer, type StartedNetwork } from 'testcontainers'
import { type PostgresServer, runStatement, urlOf } from '../contract/postgres-server.ts'
import { until } from '../e2e/rig.ts'
import { type Container, startContainer } from './container.ts'
import { newestImage } from './postgres-newest.ts'

/** The versions that the store is tested with. The newest one has no image where no registry is reached: see there. */
export type Major = 15 | 17 | 18

export interface PostgresContainer extends PostgresServer, Container {}

interface PostgresOptions {
  readonly network: StartedNetwork
  readonly major?: Major
  /** Waits for the disk, as in production. Default: false. */
  readonly durable?: boolean
  readonly settings?: readonly string[]
  /** A file system in memory of this size for the data. The log of the server (WAL) is elsewhere. */
  readonly dataMiB?: number
  /** A primary, which this server follows as an asynchronous standby. */
  readonly follows?: PostgresContainer
}

const user = 'admin'
const port = 5432
/** Where every image of the tests has its data: a volume, which outlives a restart. */
const dataFolder = '/var/lib/postgresql/data'
const settingsOfTests = ['shared_buffers=32MB', 'wal_level=replica', 'max_wal_senders=4', 'hot_standby=on']
const notDurable = ['fsync=off', 'full_page_writes=off']

/** Starts a PostgreSQL server in a container. */
export async function startPostgres(options: PostgresOptions): Promise<PostgresContainer> {
  const { network, major = 17, durable = false, settings = [], follows } = options
  const password = follows?.password ?? systemRandom.uuid()
  const image = major === 18 ? await newestImage() : new GenericContainer(`postgres:${major}`)
  const given = [...settingsOfTests, ...(durable ? [] : notDurable), ...settings]
  image.withEnvironment({
    ...{ POSTGRES_USER: user, POSTGRES_PASSWORD: password, POSTGRES_DB: 'postgres' },
    POSTGRES_INITDB_ARGS: `--no-sync --encoding=UTF8 --locale=C${options.dataMiB ? ' --waldir=/tmp/wal' : ''}`,
  })
  // The entry point allows every client except standbys.
  const allowed = 'echo "host replication all all scram-sha-256" >>"$PGDATA/pg_hba.conf"\n'
  image.withCopyContentToContainer([{ content: allowed, target: '/docker-entrypoint-initdb.d/replication.sh' }])
  if (options.dataMiB) image.withTmpFs({ [dataFolder]: `rw,size=${options.dataMiB}m` })
  const words = ['postgres', ...given.flatMap((setting) => ['-c', setting])]
  if (follows) {
    const { host } = await follows.place()
    const from = `host=${host} port=${port} user=${user} password=${password}`
    const copy = `pg_basebackup -d "${from}" -D "$PGDATA" -R -X stream -c fast --no-sync`
    // The entry point finds a data folder and only starts the server.
    image.withEntrypoint([
      'sh',
      '-c',
      `chown postgres "$PGDATA" && chmod 700 "$PGDATA" && ${copy} && exec docker-entrypoint.sh "$@"`,
      'sh',
    ])
  }
  // The port is closed while the database is being made.
  const ready = `bash -c '</dev/tcp/127.0.0.1/${port}'`
  const container = await startContainer(image.withCommand(words), port, network, ready)
  const { relay } = container
  const url = (schema: string, place = relay as { readonly host: string; readonly port: number }) =>
    urlOf({ user, password, place, schema })
  /** The address of the server itself: statements of a test do not pass the balancer. */
  const sql = async (text: string) => runStatement(url('public', await container.place()), text)
  const untilAnswers = () =>
    until(
      'PostgreSQL answers',
      () => sql('SELECT 1'),
      (rows) => rows.length === 1,
    )
  await untilAnswers()
  return {
    ...container,
    ...{ host: relay.host, port: relay.port, password, url, sql },
    crash: container.kill,
    async start() {
      await container.start()
      await untilAnswers()
    },
    async restart() {
      await container.restart()
      await untilAnswers()
    },
  }
}

/** Starts nginx in a container with this configuration, which listens on a port. */
export async function startNginx(
  network: StartedNetwork,
  port: number,
  files: Readonly<Record<string, string>>,
): Promise<Container> {
  const image = new GenericContainer('nginx:1.26').withCopyContentToContainer(
    Object.entries(files).map(([name, content]) => ({ target: `/etc/nginx/${name}`, content })),
  )
  return startContainer(image, port, network, 'nginx -t -q && test -s /run/nginx.pid')
}
