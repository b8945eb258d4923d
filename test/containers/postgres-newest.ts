import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { GenericContainer } from 'testcontainers'
import { copyPrograms } from '../contract/postgres-server.ts'

const folder = '/usr/local/lib/postgresql'

const dockerfile = `FROM node:24-bookworm-slim
COPY native ${folder}
COPY docker-entrypoint.sh /usr/local/bin/
RUN groupadd --system postgres && useradd --system --gid postgres postgres && \\
  install -d -o postgres -g postgres -m 700 /var/lib/postgresql/data
ENV PATH=${folder}/bin:/usr/local/bin:/usr/bin:/bin PGDATA=/var/lib/postgresql/data
VOLUME /var/lib/postgresql/data
ENTRYPOINT ["docker-entrypoint.sh"]
`

/** Makes the database on the first start, like the entry point of the official images, then runs the server. */
const entryPoint = `#!/bin/bash
set -e
if [ "$(id -u)" = 0 ]; then
  chown postgres "$PGDATA"
  exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
fi
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  initdb --username="$POSTGRES_USER" --pwfile=<(echo "$POSTGRES_PASSWORD") --auth=scram-sha-256 $POSTGRES_INITDB_ARGS
  echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
fi
exec "$@" -c listen_addresses='*' -c unix_socket_directories=
`

/**
 * An image of the newest PostgreSQL, with the programs of the npm package that the other tests run as processes. The
 * official image of this version would need a registry. The engine removes the image with the tests.
 */
export async function newestImage(): Promise<GenericContainer> {
  const context = mkdtempSync(join(tmpdir(), 'zonemesh-postgres-image-'))
  try {
    copyPrograms(context)
    writeFileSync(join(context, 'Dockerfile'), dockerfile)
    writeFileSync(join(context, 'docker-entrypoint.sh'), entryPoint)
    chmodSync(join(context, 'docker-entrypoint.sh'), 0o755)
    return await GenericContainer.fromDockerfile(context).build()
  } finally {
    rmSync(context, { recursive: true, force: true })
  }
}
