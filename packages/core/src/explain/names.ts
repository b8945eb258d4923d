import { inZone } from '../edge/meshes.ts'
import { typeUrls } from '../emit/table.ts'
import { isIp, meshTag, serviceTag, type Tags } from '../kinds/common.ts'
import type { DataplaneSpec } from '../kinds/dataplane-spec.ts'
import type { TypedRow } from '../kinds/kind.ts'
import { meshGateway } from '../kinds/mesh-gateway.ts'
import type { ListenerModel } from '../model/model.ts'
import { addressOf, createNames } from '../names/table.ts'
import type { CompiledZone } from './compiled-zone.ts'
import type { Request } from './request.ts'
import type { Found } from './route.ts'
import { called, stop, type Walk } from './walk.ts'

const namesShown = 8

/** Resolves a name or an explicit outbound of a sidecar or delegated gateway to its destination. */
export function call(
  walk: Walk,
  zone: CompiledZone,
  proxy: TypedRow<DataplaneSpec>,
  request: Request,
): Found & { readonly tags: Tags } {
  const { networking } = proxy.spec
  const tags = inZone(networking?.gateway?.tags ?? networking?.inbound?.[0]?.tags ?? {}, zone.name)
  const listener =
    isIp(request.host) || request.host === 'localhost'
      ? explicit(zone, proxy, request)
      : named(walk, zone, proxy, request)
  const running = walk.compareRunning('listener', zone.look(proxy), typeUrls.listener, listener.name, [proxy])
  const destination = listener.tags ?? {}
  walk.pass(
    'listener',
    `${listener.name} of ${called(proxy)} leads to ${destination[serviceTag]}`,
    zone.name,
    [proxy],
    [running],
  )
  return { tags, rows: [proxy], backends: clustersOf(listener).map((cluster) => ({ cluster, weight: 1 })) }
}

/** Resolves the name of a service to its virtual address, and to the listener of this proxy for it. */
function named(walk: Walk, zone: CompiledZone, proxy: TypedRow<DataplaneSpec>, request: Request): ListenerModel {
  const { mesh } = proxy.key
  const names = createNames()
  names.apply(zone.versions)
  const table = names.forMesh(mesh)
  const found = table.get(request.host.toLowerCase())
  if (!found)
    stop(
      'name',
      `${request.host} is not a name in mesh ${mesh} of zone ${zone.name}: the answer is NXDOMAIN`,
      `start an instance of the service in any zone, which creates the name, or correct the name; the names are: ${[...table.keys()].sort().slice(0, namesShown).join(', ') || 'none'}`,
    )
  if (!found.ports.includes(request.port))
    stop(
      'name',
      `${request.host} accepts connections on port ${found.ports.join(' and ')}, not on ${request.port}`,
      'use port 80, which each name has, or the port in the name',
    )
  const decidedBy = zone.rowsOf(found.because)
  // Only names of gateway hosts are decided by a MeshGateway.
  const [other] = zone.rowsOf(found.because, meshGateway).map(({ key }) => key.mesh)
  const what = other === undefined ? found.service : `gateway ${found.service} of mesh ${other}`
  walk.pass('name', `${request.host} is ${what}, at ${addressOf(found.number)}`, zone.name, decidedBy)
  return listenerOf(zone, proxy, { [serviceTag]: found.service, ...(other ? { [meshTag]: other } : {}) }, request)
}

const outboundsOf = (zone: CompiledZone, proxy: TypedRow<DataplaneSpec>): readonly ListenerModel[] =>
  (zone.look(proxy).model?.listeners ?? []).filter(({ direction }) => direction === 'outbound')

function listenerOf(zone: CompiledZone, proxy: TypedRow<DataplaneSpec>, wanted: Tags, request: Request): ListenerModel {
  const { [serviceTag]: service = '' } = wanted
  const listener = outboundsOf(zone, proxy).find(
    ({ port, tags }) => port === request.port && tags?.[serviceTag] === service && tags[meshTag] === wanted[meshTag],
  )
  if (listener) return listener
  const { transparentProxying } = proxy.spec.networking ?? {}
  const reachable = transparentProxying?.reachableServices
  if (reachable && !reachable.includes(service))
    stop(
      'listener',
      `${called(proxy)} may reach only ${reachable.join(', ') || 'nothing'}, not ${service}`,
      `add ${service} to networking.transparentProxying.reachableServices`,
      [proxy],
    )
  return stop(
    'listener',
    `${called(proxy)} has no listener for ${service} on port ${request.port}`,
    request.port === 80
      ? 'its process may not bind port 80: give it CAP_NET_BIND_SERVICE, or use the port in the name'
      : 'the names of its host are not claimed: look at the log of the proxy',
    [proxy],
  )
}

function explicit(zone: CompiledZone, proxy: TypedRow<DataplaneSpec>, request: Request): ListenerModel {
  const outbounds = outboundsOf(zone, proxy)
  const listener = outbounds.find(
    ({ address, port }) => port === request.port && (request.host === 'localhost' || address === request.host),
  )
  if (listener) return listener
  const outbound = `networking.outbound ${request.port}: `
  const left = zone.look(proxy).problems.find(({ reason }) => reason.startsWith(outbound))
  if (left)
    stop(
      'listener',
      `zone ${zone.name} leaves out ${left.reason}`,
      'correct what this message names, or remove the outbound',
      [proxy],
    )
  return stop(
    'listener',
    `${called(proxy)} has no outbound on ${request.host}:${request.port}`,
    `add one to networking.outbound; it has: ${outbounds.map(({ address, port }) => `${address}:${port}`).join(', ') || 'none'}`,
    [proxy],
  )
}

function clustersOf({ chains }: ListenerModel): readonly string[] {
  return chains.flatMap(({ content }) => {
    if (content.type === 'tcp')
      return typeof content.cluster === 'string' ? [content.cluster] : content.cluster.map(({ name }) => name)
    if (content.type !== 'http' || 'rds' in content.routes) return []
    return content.routes.hosts.flatMap(({ routes }) =>
      routes.flatMap(({ action }) => (action.type === 'forward' ? action.clusters.map(({ name }) => name) : [])),
    )
  })
}
