import { Cluster, Redis, type RedisOptions } from 'ioredis'
import type { RedisPlace } from './place.ts'

export interface RedisSecrets {
  /** Replaces the password of the URL. */
  readonly password?: string | undefined
  /** The authority of the server in PEM. Default: those of the system. */
  readonly authority?: string | undefined
}

/** A command without an answer fails after this time. */
export const answerWaitMs = 1_000
const connectWaitMs = 3_000
/** A connection on which nothing arrives after a command is renewed: its server hangs, or another one took its place. */
const silentMs = 3_000
const retryMaxMs = 2_000

/** A connection that dials again for ever. Commands fail at once while it is not connected: nobody waits for Redis. */
export function connectRedis(place: RedisPlace, secrets: RedisSecrets): Redis | Cluster {
  const { servers, user } = place
  const password = secrets.password ?? place.password
  const tls = place.tls ? { tls: secrets.authority === undefined ? {} : { ca: secrets.authority } } : {}
  const retry = (times: number): number => Math.min(retryMaxMs, 50 * 2 ** Math.min(times, 10))
  const options = {
    ...(user === undefined ? {} : { username: user }),
    ...(password === undefined ? {} : { password }),
    ...tls,
    connectionName: 'zonemesh',
    commandTimeout: answerWaitMs,
    connectTimeout: connectWaitMs,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    socketTimeout: silentMs,
    keepAlive: 5_000,
    // A primary that became a replica accepts connections and refuses writes: the next connection finds the new one.
    reconnectOnError: ({ message }) => message.startsWith('READONLY'),
  } satisfies RedisOptions
  switch (place.form) {
    case 'cluster':
      return new Cluster([...servers], {
        redisOptions: options,
        enableOfflineQueue: false,
        clusterRetryStrategy: retry,
        slotsRefreshTimeout: connectWaitMs,
      })
    case 'sentinel':
      return new Redis({
        ...options,
        sentinels: [...servers],
        name: place.primary,
        ...(place.tls ? { enableTLSForSentinelMode: true } : {}),
        retryStrategy: retry,
        sentinelRetryStrategy: retry,
        sentinelCommandTimeout: answerWaitMs,
      })
    case 'single': {
      const [{ host, port }] = servers
      return new Redis({ ...options, host, port, db: place.database, retryStrategy: retry })
    }
  }
}
