import { err, ok, type Result } from '../base/base.ts'

interface Server {
  readonly host: string
  readonly port: number
}

/** Where a Redis is, from its URL. */
export interface RedisPlace {
  readonly form: 'single' | 'sentinel' | 'cluster'
  /** The server, the sentinels, or nodes of the cluster. */
  readonly servers: readonly [Server, ...Server[]]
  /** The name of the primary that the sentinels watch. */
  readonly primary: string
  readonly database: number
  readonly user: string | undefined
  readonly password: string | undefined
  readonly tls: boolean
  /** For messages: without user and password. */
  readonly text: string
}

const forms = {
  'redis:': { form: 'single', tls: false, port: 6379 },
  'rediss:': { form: 'single', tls: true, port: 6379 },
  'redis-sentinel:': { form: 'sentinel', tls: false, port: 26379 },
  'rediss-sentinel:': { form: 'sentinel', tls: true, port: 26379 },
  'redis-cluster:': { form: 'cluster', tls: false, port: 6379 },
  'rediss-cluster:': { form: 'cluster', tls: true, port: 6379 },
} as const

const examples =
  'redis://HOST:6379/0, redis-sentinel://HOST:26379,HOST:26379/PRIMARY or redis-cluster://HOST:6379,HOST:6379'

/**
 * Reads the URL of a Redis: `redis://`, `redis-sentinel://` or `redis-cluster://`, each with `rediss` for TLS. The error
 * contains no secret.
 */
export function redisPlaceOf(url: string): Result<RedisPlace, string> {
  const read = /^([a-z-]+:)\/\/(?:([^@/]*)@)?([^/?#]+)(?:\/([^?#]*))?$/.exec(url)
  const [, scheme = '', login = '', hosts = '', path = ''] = read ?? []
  const form = Object.entries(forms).find(([name]) => name === scheme)?.[1]
  if (!read || !form) return err(`expected ${examples}, with rediss for TLS, found ${scheme || 'no scheme'}`)
  const servers = hosts.split(',').map((one) => serverOf(one, form.port))
  const [first, ...others] = servers
  if (!first || servers.includes(undefined)) return err(`expected HOST:PORT, separated by commas, found "${hosts}"`)
  if (form.form === 'single' && others.length > 0)
    return err('expected one host; several hosts need redis-sentinel:// or redis-cluster://')
  if (form.form === 'sentinel' && path === '')
    return err('expected the name of the primary after the hosts: redis-sentinel://HOST:26379/PRIMARY')
  if (form.form === 'single' && !/^\d{0,3}$/.test(path))
    return err(`expected the number of a database, found "${path}"`)
  const [user, ...rest] = login.split(':').map(decodeURIComponent)
  return ok({
    form: form.form,
    servers: [first, ...others.filter((one) => one !== undefined)],
    primary: path,
    database: form.form === 'single' ? Number(path) : 0,
    user: user || undefined,
    password: rest.length > 0 ? rest.join(':') : undefined,
    tls: form.tls,
    text: `${scheme}//${hosts}${path === '' ? '' : `/${path}`}`,
  })
}

function serverOf(text: string, defaultPort: number): Server | undefined {
  const [, host = '', port] = /^(\[[^\]]+\]|[^:[\]]+)(?::(\d{1,5}))?$/.exec(text) ?? []
  return host === '' ? undefined : { host: host.replace(/^\[|\]$/g, ''), port: Number(port ?? defaultPort) }
}
