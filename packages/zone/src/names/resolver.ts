import { dataplane } from '@zonemesh/core/kinds/dataplane.ts'
import { specOf } from '@zonemesh/core/kinds/row.ts'
import { type DnsAddress, parseDnsAddress, systemServers } from '@zonemesh/shared/dns/forward.ts'
import { type DnsObserver, type DnsServer, startDnsServer } from '@zonemesh/shared/dns/server.ts'
import type { Clock } from '@zonemesh/shared/env/clock.ts'
import { listenError } from '@zonemesh/shared/env/listen-error.ts'
import type { Log } from '@zonemesh/shared/env/log.ts'
import type { Random } from '@zonemesh/shared/env/random.ts'
import type { Version } from '@zonemesh/shared/store/store.ts'
import { domain, type NameFeeds, ttlSeconds } from './feeds.ts'

interface Deps {
  readonly clock: Clock
  readonly log: Log
  readonly random: Random
  readonly names: NameFeeds
  readonly dnsClients: DnsClients
  readonly observer?: DnsObserver
}

interface Config {
  readonly host: string
  readonly port: number
  /** Upstreams for all other names. If empty, the name servers of this machine. */
  readonly forward: readonly string[]
  readonly defaultMesh: string
}

const privateRange = /^(127\.|10\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.|169\.254\.|::1$|f[cd]|fe80:)/i

/** Finds the mesh of a DNS client by its address, if all Dataplanes with that address belong to one mesh. */
export function createDnsClients() {
  const meshesByAddress = new Map<string, Map<string, string>>()
  const addressByKey = new Map<string, string>()
  return {
    applied(versions: readonly Version[]): void {
      for (const { key, row } of versions) {
        if (key.kind !== 'Dataplane') continue
        const id = `${key.origin}/${key.mesh}/${key.name}`
        const before = addressByKey.get(id)
        if (before !== undefined) meshesByAddress.get(before)?.delete(id)
        addressByKey.delete(id)
        const address = row && specOf(dataplane, row)?.networking?.address
        if (address === undefined) continue
        addressByKey.set(id, address)
        meshesByAddress.set(address, (meshesByAddress.get(address) ?? new Map()).set(id, key.mesh))
      }
    },
    meshOf(address: string): string | undefined {
      const meshes = new Set(meshesByAddress.get(address)?.values())
      return meshes.size === 1 ? [...meshes][0] : undefined
    },
    isKnown: (address: string): boolean => (meshesByAddress.get(address)?.size ?? 0) > 0,
  }
}
export type DnsClients = ReturnType<typeof createDnsClients>

function upstream(text: string): DnsAddress {
  const address = parseDnsAddress(text)
  if (!address) throw new Error(`--dns-forward: expected an IPv4 address, optionally with a port, found "${text}"`)
  return address
}

/** The name servers of this machine, without this resolver itself. */
async function machineServers({ log }: Deps, port: number): Promise<readonly DnsAddress[]> {
  const servers = (await systemServers()).filter((server) => server.port !== port)
  if (servers.length === 0)
    log.info({}, 'this machine has no IPv4 name server: names outside the mesh are not resolved')
  return servers
}

/**
 * Starts the zone's resolver: authoritative for the mesh domain. It forwards other names for private addresses and
 * proxies.
 */
export async function startResolver(deps: Deps, config: Config): Promise<DnsServer> {
  const meshOf = (address: string) => deps.dnsClients.meshOf(address) ?? config.defaultMesh
  const table = {
    domain,
    ttlSeconds,
    lookup: (name: string, client: string) => deps.names.lookup(meshOf(client), name),
  }
  const given = config.forward.map(upstream)
  const servers = given.length > 0 ? given : await machineServers(deps, config.port)
  const opening = startDnsServer(deps, {
    host: config.host,
    port: config.port,
    table: () => table,
    ...(servers.length > 0 ? { forward: { servers } } : {}),
    allowForward: (address) => privateRange.test(address) || deps.dnsClients.isKnown(address),
  })
  return opening.catch((cause: unknown) => {
    // Only errors of a socket have a code.
    if (!(cause instanceof Error && 'code' in cause)) throw cause
    throw listenError(cause, { ...config, what: 'DNS', option: '--dns-port', hostOption: '--dns-host' })
  })
}
