import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { type ListenPlace, listenError } from '@zonemesh/shared/env/listen-error.ts'
import { CommandError } from './command.ts'

export type Place = ListenPlace & { readonly protocols?: readonly ('tcp' | 'udp')[] }

interface PlaneConfig {
  readonly host: string
  readonly apiPort: number
  readonly apiTlsPort: number
  readonly healthPort: number
}

/** The listeners that every control plane has. */
export const placesOf = ({ host, apiPort, apiTlsPort, healthPort }: PlaneConfig): readonly Place[] => [
  { what: 'the HTTP API', host, port: apiPort, option: '--api-port' },
  { what: 'the HTTPS API', host, port: apiTlsPort, option: '--api-tls-port' },
  { what: 'health', host, port: healthPort, option: '--health-port' },
]

/**
 * Opens every port of a plane and closes it again, so that one error names all ports that are taken. A second plane on
 * a machine would otherwise meet them one by one.
 */
export async function requireFreePorts(config: PlaneConfig, more: readonly Place[]): Promise<void> {
  await using opened = new AsyncDisposableStack()
  const errors: Error[] = []
  for (const place of [...placesOf(config), ...more].filter(({ port }) => port !== 0)) {
    try {
      for (const protocol of place.protocols ?? ['tcp']) opened.use(await open(protocol, place))
    } catch (cause) {
      errors.push(listenError(cause, place))
      // A wrong host would be repeated for each port.
      if (!(cause instanceof Error && 'code' in cause && cause.code === 'EADDRINUSE')) break
    }
  }
  const [first] = errors
  if (!first) return
  const lines = errors.map(({ message }) => `\n  ${message}`).join('')
  throw errors.length === 1 ? first : new CommandError(`${errors.length} ports are taken:${lines}`)
}

/** Why a port cannot be opened; undefined if it is free. */
export async function portFault(place: Place): Promise<Error | undefined> {
  try {
    for (const protocol of place.protocols ?? ['tcp']) await (await open(protocol, place))[Symbol.asyncDispose]()
    return undefined
  } catch (cause) {
    return listenError(cause, place)
  }
}

async function open(protocol: 'tcp' | 'udp', { host, port }: Place): Promise<AsyncDisposable> {
  if (protocol === 'udp') {
    const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4').bind({ port, address: host, exclusive: true })
    await once(socket, 'listening')
    return { [Symbol.asyncDispose]: () => new Promise((resolve) => void socket.close(resolve)) }
  }
  const server = createServer().listen({ port, host, exclusive: true })
  await once(server, 'listening')
  return { [Symbol.asyncDispose]: () => new Promise((resolve) => void server.close(() => resolve())) }
}
