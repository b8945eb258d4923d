import { logLevels } from '@zonemesh/shared/env/log.ts'
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
    'PostgreSQL database to keep the store in, also for several processes at once; keys stay in the data folder',
    { placeholder: 'URL', secret: true, shownDefault: 'a file in the data folder' },
  ),
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
    'treat callers on this machine as admin without a key or token, for clients other than this one; a TCP proxy on this machine turns its callers into admins',
    { shownDefault: 'on if --host is a loopback address, else off' },
  ),
  anonymous: option(
    z.enum(['none', 'read']).default('read'),
    'what callers without a token or key may do: none, or read everything but secrets, as in Kuma',
    { placeholder: 'none|read', shownDefault: 'read' },
  ),
  apiHosts: option(
    list.default([]),
    'further names by which callers without a token or key may reach the API; addresses, localhost, the name of the machine and --tls-hosts always may',
    { placeholder: 'HOST', repeated: true },
  ),
  acceptLostSecrets: option(
    toggle.default(false),
    'delete the secrets of the store that seal.key does not open, for one start; without this such a plane does not start',
  ),
  historyRevisions: option(count(100).default(10_000), 'how many revisions of history the store keeps', {
    placeholder: 'N',
    shownDefault: '10000',
  }),
  logLevel: option(z.enum(logLevels).default('info'), `how much to log: ${logLevels.join(', ')}`, {
    placeholder: 'LEVEL',
    shownDefault: 'info',
  }),
}
