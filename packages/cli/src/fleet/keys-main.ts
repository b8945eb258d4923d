// The first step of the fleet in compose: keys-main.ts FOLDER. It creates what must exist before anything starts:
// passwords of PostgreSQL and Redis, and a folder for each process with its keys and settings. Replicas of a plane get the
// same keys. What exists stays as it is.

import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createRoot, lifetime } from '@zonemesh/plane/authority/x509.ts'
import { stringify } from 'yaml'
import { planes, proxies } from './members.ts'

const [folder = ''] = process.argv.slice(2)

const secret = (): string => randomBytes(24).toString('base64url')

/** The first start writes it last, so an interrupted one is repeated as a whole. */
const done = join(folder, 'created')
if (!existsSync(done)) {
  const [database, cache] = [secret(), secret()]
  write('postgres/password', database)
  write('redis/redis.conf', `requirepass ${cache}\nappendonly yes\n`)
  for (const { name, replicas, schema } of planes) {
    const authority = await createRoot('zonemesh control plane', lifetime(Date.now(), 3650))
    const keys = {
      'seal.key': randomBytes(32).toString('base64'),
      'ca.key': authority.key,
      'ca.crt': authority.certificate,
      'admin.key': secret(),
    }
    for (const replica of replicas) {
      const databases = schema && {
        store: `postgres://zonemesh:${database}@postgres:5432/zonemesh?schema=${schema}`,
        redis: `redis://:${cache}@redis:6379`,
      }
      const settings = { dataDir: '/data', tlsHosts: [name, replica], ...databases }
      for (const [file, text] of Object.entries(keys)) write(`${replica}/${file}`, text)
      write(`${replica}/settings.yaml`, stringify(settings))
    }
  }
  for (const { name } of proxies) mkdirSync(join(folder, name), { recursive: true, mode: 0o750 })
  mkdirSync(join(folder, 'user'), { recursive: true, mode: 0o750 })
  write('created', '')
}

/** The group may read: processes of other images are in it, and each of them sees only its own folder. */
function write(name: string, text: string): void {
  const path = join(folder, name)
  mkdirSync(join(path, '..'), { recursive: true, mode: 0o750 })
  writeFileSync(`${path}.draft`, text, { mode: 0o640 })
  renameSync(`${path}.draft`, path)
}
