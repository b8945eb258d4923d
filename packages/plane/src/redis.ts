import { readFileSync } from 'node:fs'
import { type JsonObject, messageOf } from '@zonemesh/shared/base/base.ts'
import type { Clock } from '@zonemesh/shared/env/clock.ts'
import type { Log } from '@zonemesh/shared/env/log.ts'
import type { RedisLink } from '@zonemesh/shared/redis/link.ts'
import { redisPlaceOf } from '@zonemesh/shared/redis/place.ts'

export interface RedisConfig {
  readonly redis?: string | undefined
  readonly redisPasswordFile?: string | undefined
  readonly redisCaCertFile?: string | undefined
}

/**
 * Prepares the link to the Redis in the settings; undefined if they name none. The link needs the id of the store, which
 * is known later. Throws one sentence if a file cannot be read.
 */
export async function redisOpener(
  env: { readonly clock: Clock; readonly log: Log },
  { redis, redisPasswordFile, redisCaCertFile }: RedisConfig,
  instance: string,
): Promise<((store: string) => RedisLink) | undefined> {
  if (redis === undefined) return undefined
  const place = redisPlaceOf(redis)
  if (!place.ok) throw new Error(`--redis: ${place.error}`)
  const secrets = {
    password: textOf('--redis-password-file', redisPasswordFile)?.trim(),
    authority: textOf('--redis-ca-cert-file', redisCaCertFile),
  }
  // Loaded late: a plane without Redis needs no driver.
  const { openRedisLink } = await import('@zonemesh/shared/redis/link.ts')
  return (store) => openRedisLink(env, { place: place.value, secrets, store, instance })
}

function textOf(flag: string, path: string | undefined): string | undefined {
  if (path === undefined) return undefined
  try {
    return readFileSync(path, 'utf8')
  } catch (cause) {
    throw new Error(`${flag}: cannot read ${path}: ${messageOf(cause)}`, { cause })
  }
}

/** The field of a status that shows whether Redis answers. */
export function redisStatus(redis: Pick<RedisLink, 'state' | 'counts'> | undefined): JsonObject {
  if (!redis) return {}
  const { phase, reason, sinceMs } = redis.state()
  return { redis: { phase, reason, since: new Date(sinceMs).toISOString(), ...redis.counts() } }
}
