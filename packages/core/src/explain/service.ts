import { typeUrls } from '../emit/table.ts'
import { serviceTag, type Tags } from '../kinds/common.ts'
import { dataplane } from '../kinds/dataplane.ts'
import { type DataplaneSpec, dataplaneServices } from '../kinds/dataplane-spec.ts'
import type { AnyRow, TypedRow } from '../kinds/kind.ts'
import { selects } from '../kinds/tags.ts'
import type { ChainModel, EndpointModel, ListenerModel } from '../model/model.ts'
import type { Permissions } from '../policies/permissions.ts'
import type { CompiledZone } from './compiled-zone.ts'
import { called, stop, tagsOf, type Walk } from './walk.ts'
import type { Way } from './way.ts'

/** The Dataplane behind an endpoint, and the listener that accepts the connection. */
export function arrive(
  walk: Walk,
  here: CompiledZone,
  zone: CompiledZone,
  way: Way,
  at: EndpointModel,
): { readonly row: TypedRow<DataplaneSpec>; readonly listener: ListenerModel; readonly tags: Tags } {
  const service = way.tags[serviceTag] ?? ''
  const [row] = zone.rowsOf(at.because, dataplane)
  if (!row)
    stop(
      'service',
      `there is no proxy at ${at.address}:${at.port} in zone ${zone.name} any more`,
      'the instance was removed, and this change has not arrived yet: look at `zonemesh status`',
    )
  const compiled = zone.look(row)
  const { model, problems } = compiled
  const listener = model?.listeners.find((one) => one.direction === 'inbound' && isMeant(row, one, at))
  if (!listener)
    stop(
      'service',
      `zone ${zone.name} cannot serve ${called(row)}: ${problems.map((one) => one.reason).join('; ') || 'no reason is known'}`,
      'correct what this message names, and apply it again',
      [row],
    )
  const { tags = {} } = listener
  const [other = row] = zone.rows(dataplane).filter((one) => takesPlaceOf(one, row, at))
  const found = other === row ? tags[serviceTag] : dataplaneServices(other.spec).join(' and ')
  if (found !== service)
    stop(
      'service',
      `${called(other)} at ${at.address}:${at.port} serves ${found}, not ${service}: the name in its certificate is another one, so the caller refuses the connection`,
      'two proxies have the same address and port: give each its own',
      [other],
    )
  const running = walk.compareRunning('service', compiled, typeUrls.listener, listener.name, [row])
  walk.pass(
    'service',
    `${called(row)} of zone ${zone.name} receives the request at ${at.address}:${at.port} (${tagsOf(tags)})`,
    here.name,
    [row],
    [running],
  )
  return { row, listener, tags }
}

/**
 * Whether connections to an endpoint reach this listener: at its own address, or at the advertised address of its
 * proxy, on its port.
 */
const isMeant = ({ spec }: TypedRow<DataplaneSpec>, listener: ListenerModel, at: EndpointModel): boolean =>
  listener.port === at.port && [listener.address, spec.networking?.advertisedAddress].includes(at.address)

/**
 * Whether another proxy of the zone, with other services, has the same address and port. Connections may then reach
 * that proxy.
 */
function takesPlaceOf(one: TypedRow<DataplaneSpec>, row: TypedRow<DataplaneSpec>, at: EndpointModel): boolean {
  const { networking } = one.spec
  const services = dataplaneServices(row.spec)
  return (
    one.key.origin === row.key.origin &&
    !dataplaneServices(one.spec).some((service) => services.includes(service)) &&
    (networking?.inbound ?? []).some(
      ({ address = networking?.address, port }) => port === at.port && address === at.address,
    )
  )
}

/** Checks whether the service accepts connections of the client. */
export function askPermission(
  walk: Walk,
  here: CompiledZone,
  zone: CompiledZone,
  client: Tags,
  arrived: { readonly row: AnyRow; readonly listener: ListenerModel; readonly tags: Tags },
): void {
  const guarded = arrived.listener.chains.map(permissionsOf).find((one) => one !== undefined)
  if (!guarded) {
    walk.pass('permission', `mesh ${arrived.row.key.mesh} requires no permission: it has no mutual TLS`, here.name, [])
    return
  }
  const service = client[serviceTag] ?? ''
  const who = `${service} (${tagsOf(client)})`
  const denied = guarded.deny.find(({ source }) => selects(source, client))
  if (denied)
    stop(
      'permission',
      `${policyText(denied.policy)} denies ${who}: the answer is 403`,
      'change its from section',
      zone.rowsOf(denied.because),
    )
  const allowed = guarded.allow.find(({ source }) => selects(source, client))
  if (!allowed)
    stop(
      'permission',
      `no permission allows ${who} to call ${arrived.tags[serviceTag]}: the answer is 403 (a TCP connection is closed)`,
      `apply a TrafficPermission with a source of ${serviceTag}=${service} and a destination of ${serviceTag}=${arrived.tags[serviceTag]}`,
      [arrived.row],
    )
  else
    walk.pass('permission', `${policyText(allowed.policy)} allows ${service}`, here.name, zone.rowsOf(allowed.because))
}

const permissionsOf = ({ content }: ChainModel): Permissions | undefined =>
  content.type === 'http' || content.type === 'tcp' ? content.permissions?.rules : undefined

/** `TrafficPermission:allow-all`, the name of a rule, as other messages name a resource: `TrafficPermission allow-all`. */
const policyText = (policy: string): string => policy.replace(':', ' ')
