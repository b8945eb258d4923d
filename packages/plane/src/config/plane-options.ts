import { logLevels } from '@zonemesh/shared/env/log.ts'
import { redisPlaceOf } from '@zonemesh/shared/redis/place.ts'
import { z } from 'zod'
import { count, list, option, port, text, toggle } from './options.ts'

/** Settings that every control plane has. */
export const planeOptions = {
  configFile: option(text.optional(), 'YAML file with settings, named as in the reference page', {
    placeholder: 'FILE',
  }),
  dataDir: option(text.optional(), 'folder of the store and of keys; without it everything is kept in memory', {
    placeholder: 'DIR',
  }),
  store: option(
    z
      .string()
      .regex(/^postgres(ql)?:\/\//, 'expected postgres://USER:PASSWORD@HOST:PORT/DATABASE')
      .optional(),
    'PostgreSQL database of the store, which several processes may share; keys stay in the data folder',
    { placeholder: 'URL', secret: true, shownDefault: 'a file in the data folder' },
  ),
  redis: option(
    text
      .refine((url) => redisPlaceOf(url).ok, {
        error: ({ input }) => {
          const read = redisPlaceOf(String(input))
          return read.ok ? '' : read.error
        },
      })
      .optional(),
    'Redis with which the replicas of a plane wake each other faster; the plane is correct without it',
    { placeholder: 'URL', secret: true, shownDefault: 'none: the database wakes them' },
  ),
  redisPasswordFile: option(text.optional(), 'file with the password for Redis, instead of one in its URL', {
    placeholder: 'FILE',
  }),
  redisCaCertFile: option(text.optional(), 'the authority of Redis (PEM), for rediss://', {
    placeholder: 'FILE',
    shownDefault: 'those of the system',
  }),
  host: option(text.default('0.0.0.0'), 'address to listen on', { placeholder: 'ADDRESS', shownDefault: '0.0.0.0' }),
  apiPort: option(port.default(5681), 'port of the HTTP API', { placeholder: 'PORT', shownDefault: '5681' }),
  apiTlsPort: option(port.default(5682), 'port of the HTTP API over TLS', {
    placeholder: 'PORT',
    shownDefault: '5682',
  }),
  healthPort: option(port.default(5680), 'port of /healthy, /ready and /metrics', {
    placeholder: 'PORT',
    shownDefault: '5680',
  }),
  tlsHosts: option(list.default([]), 'further names and addresses for the server certificate', {
    placeholder: 'HOST',
    repeated: true,
  }),
  localhostIsAdmin: option(
    toggle.optional(),
    'treat callers on this machine as admin without a key or token, for other clients such as kumactl; a TCP proxy on this machine makes its callers admins too',
    { shownDefault: 'on if --host is a loopback address, else off' },
  ),
  anonymous: option(
    z.enum(['none', 'read']).default('read'),
    'what callers without a token or key may do: none, or read everything but secrets, as in Kuma',
    { placeholder: 'none|read', shownDefault: 'read' },
  ),
  apiHosts: option(
    list.default([]),
    'further host names under which callers without a token or key may use the API; addresses, localhost, the name of the machine and --tls-hosts are always allowed',
    { placeholder: 'HOST', repeated: true },
  ),
  acceptLostSecrets: option(
    toggle.default(false),
    'delete the secrets in the store that seal.key cannot open; without this the plane refuses to start',
  ),
  historyRevisions: option(count(100).default(10_000), 'number of revisions of history that the store keeps', {
    placeholder: 'N',
    shownDefault: '10000',
  }),
  logLevel: option(z.enum(logLevels).default('info'), `how much to log: ${logLevels.join(', ')}`, {
    placeholder: 'LEVEL',
    shownDefault: 'info',
  }),
}
