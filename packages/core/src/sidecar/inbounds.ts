import { keyText } from '@zonemesh/shared/resource/resource.ts'
import { statName } from '../edge/addresses.ts'
import { inZone, type Meshes } from '../edge/meshes.ts'
import { type Because, because } from '../kinds/because.ts'
import { protocolTag, serviceTag, type Tags } from '../kinds/common.ts'
import { dataplane } from '../kinds/dataplane.ts'
import type { DataplaneInbound, DataplaneSpec } from '../kinds/dataplane-spec.ts'
import { expectIp } from '../kinds/expect.ts'
import { type MeshName, meshName } from '../kinds/identities.ts'
import { ranges } from '../kinds/ranges.ts'
import { bestMatch, serviceOf, type TagSet } from '../kinds/tags.ts'
import type { ChainModel, ClusterModel, HttpChain, ListenerModel, SocketAddress, TcpChain } from '../model/model.ts'
import { permissionsBy } from '../policies/mesh-traffic-permission/allowed.ts'
import { meshTrafficPermission } from '../policies/mesh-traffic-permission/mesh-traffic-permission.ts'
import type { PermissionRule, Permissions } from '../policies/permissions.ts'
import { defaultTimeouts } from '../policies/timeout/timeouts.ts'
import { allowedBy } from '../policies/traffic-permission/allowed.ts'
import { trafficPermission } from '../policies/traffic-permission/traffic-permission.ts'
import type { Units } from '../view/units.ts'
import type { View } from '../view/view.ts'

export interface InboundModel {
  readonly listener: ListenerModel
  readonly cluster: ClusterModel
}

type Networking = NonNullable<DataplaneSpec['networking']>
type MutualTls = 'none' | 'strict' | 'permissive'

/** The inbound side of a sidecar: one listener and one cluster per inbound of its Dataplane. */
export function createInbounds(units: Units, view: View, meshes: Meshes) {
  /** The clients that may connect to an inbound with these tags, merged from all policies that apply. */
  const permissions = units.family('permissions', (mesh: MeshName, destination: TagSet): Permissions => {
    const { tags } = destination
    const allow: PermissionRule[] = []
    const deny: PermissionRule[] = []
    const keys = [serviceOf(destination), '*'].flatMap((service) => view.range(ranges.permitting(mesh, service)))
    for (const key of [...new Set(keys)].sort()) {
      const row = view.row(trafficPermission, key)
      if (!row) continue
      const rules = units.attempt(key, () => (bestMatch(row.spec.destinations, tags) ? allowedBy(row) : []))
      allow.push(...(rules ?? []))
    }
    for (const row of view.rows(meshTrafficPermission, ranges.inMesh('MeshTrafficPermission', mesh))) {
      const found = units.attempt(keyText(row.key), () => permissionsBy(row))
      allow.push(...(found?.allow ?? []))
      deny.push(...(found?.deny ?? []))
    }
    return { allow, deny }
  })

  return units.family('inbound', (proxy: string, index: number): InboundModel | undefined => {
    const row = view.row(dataplane, proxy)
    const networking = row?.spec.networking
    const inbound = networking?.inbound?.[index]
    if (!row || !networking || !inbound) return undefined
    const mesh = meshName(row.key.mesh)
    const { address, port, target } = placeOf(networking, inbound)
    const tags = inZone(inbound.tags ?? {}, view.zone)
    const { mtls, because: meshRows } = meshes.mesh(mesh)
    const http = isHttp(tags)
    const own = because(proxy)
    const cluster = clusterOf(target, tags, own)
    const access = mtls === 'none' ? undefined : { mesh, rules: permissions(mesh, view.tagSet(tags)) }
    const plain = http ? httpContent(cluster.name, tags, own) : tcpContent(cluster.name)
    return {
      cluster,
      listener: {
        name: `inbound:${address}:${port}`,
        address,
        port,
        direction: 'inbound',
        // A second proxy on this host must fail to bind the port and not get half of the connections.
        reusePort: false,
        inspectTls: mtls === 'permissive',
        tags,
        chains: chainsOf(mtls, mesh, plain, access ? { ...plain, permissions: access } : plain, cluster.name).map(
          (chain) => ({ ...chain, because: because(proxy, ...meshRows) }),
        ),
        because: because(proxy, ...meshRows),
      },
    }
  })
}
export type Inbounds = ReturnType<typeof createInbounds>

function placeOf(networking: Networking, inbound: DataplaneInbound) {
  const address = inbound.address ?? networking.address ?? ''
  const port = inbound.port ?? 0
  const servicePort = inbound.servicePort || port
  // The service is expected at the address of the proxy, unless the proxy itself uses that address and port.
  const target = {
    address: inbound.serviceAddress ?? (servicePort === port ? '127.0.0.1' : address),
    port: servicePort,
  }
  expectIp('networking.address', address)
  if (address === target.address && port === target.port) {
    throw new Error(`inbound ${address}:${port} would lead to itself: the service needs another address or port`)
  }
  return { address, port, target }
}

const isHttp = (tags: Tags): boolean => ['http', 'http2', 'grpc'].includes(tags[protocolTag] ?? 'tcp')

function clusterOf(target: SocketAddress, tags: Tags, because: Because): ClusterModel {
  const { connectMs, idleMs, maxStreamMs } = defaultTimeouts.inbound
  const protocol = tags[protocolTag]
  return {
    name: `localhost:${target.port}`,
    target,
    connectMs,
    breakers: 'tracked',
    statName: `localhost_${target.port}`,
    because,
    ...(isHttp(tags)
      ? { http: { version: protocol === 'http' ? 1 : 2, idleMs, maxStreamMs, edgeWindows: false } }
      : {}),
  }
}

function httpContent(cluster: string, tags: Tags, because: Because): HttpChain {
  const service = tags[serviceTag] ?? ''
  const { requestMs, streamIdleMs } = defaultTimeouts.inbound
  const route = {
    path: { type: 'prefix' as const, path: '/' },
    headers: [],
    queries: [],
    because,
    action: {
      type: 'forward' as const,
      clusters: [{ name: cluster, weight: 1 }],
      weighted: false,
      requestMs,
      idleMs: streamIdleMs,
    },
  }
  return {
    type: 'http',
    statPrefix: statName(cluster),
    role: 'inbound',
    streamIdleMs,
    routes: {
      name: `inbound:${service}`,
      hosts: [{ name: service, domains: ['*'], routes: [route], because }],
      because,
      removeTagsHeader: true,
      ignorePort: false,
    },
  }
}

const tcpContent = (cluster: string): TcpChain => ({
  type: 'tcp',
  statPrefix: statName(cluster),
  cluster,
  idleMs: defaultTimeouts.inbound.tcpIdleMs,
})

/** In permissive mode the ALPN name identifies the mesh's own TLS. All other traffic goes to the service unchanged. */
function chainsOf(
  mtls: MutualTls,
  mesh: string,
  plain: HttpChain | TcpChain,
  guarded: HttpChain | TcpChain,
  cluster: string,
): readonly Omit<ChainModel, 'because'>[] {
  switch (mtls) {
    case 'none':
      return [{ content: plain }]
    case 'strict':
      return [{ mtls: mesh, content: guarded }]
    case 'permissive':
      return [
        { match: { transport: 'raw_buffer' }, content: plain },
        { match: { transport: 'tls' }, content: tcpContent(cluster) },
        { match: { transport: 'tls', alpn: ['kuma'] }, mtls: mesh, content: guarded },
      ]
  }
}
