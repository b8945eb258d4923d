import { typeUrls } from '../emit/table.ts'
import { serviceTag, type Tags, zoneTag } from '../kinds/common.ts'
import { dataplane } from '../kinds/dataplane.ts'
import { type DataplaneSpec, dataplaneServices, isReady } from '../kinds/dataplane-spec.ts'
import type { AnyRow, TypedRow } from '../kinds/kind.ts'
import { selects } from '../kinds/tags.ts'
import type { ChainModel, EndpointModel, ListenerModel } from '../model/model.ts'
import type { Permissions } from '../policies/permissions.ts'
import { findKind } from '../registry.ts'
import type { CompiledZone } from './compiled-zone.ts'
import { called, stop, tagsOf, type Walk } from './walk.ts'
import type { Way } from './way.ts'

/** The Dataplane at an address, and the listener that takes the connection. */
export function arrive(
  walk: Walk,
  here: CompiledZone,
  zone: CompiledZone,
  way: Way,
  at: EndpointModel,
): { readonly row: TypedRow<DataplaneSpec>; readonly listener: ListenerModel; readonly tags: Tags } {
  const service = way.tags[serviceTag] ?? ''
  const found = zone
    .rows(dataplane)
    .filter((row) => row.key.origin === zone.name && row.key.mesh === way.mesh)
    .flatMap((row) => {
      const { networking } = row.spec
      return (networking?.inbound ?? [])
        .filter(
          (one) =>
            one.port === at.port &&
            [networking?.advertisedAddress, one.address, networking?.address].includes(at.address),
        )
        .map((inbound) => ({ row, inbound }))
    })
  const hit = found[0]
  if (!hit)
    stop(
      'service',
      `there is no proxy at ${at.address}:${at.port} in zone ${zone.name} any more`,
      'the instance is gone and the news is on its way: look at `zonemesh status`',
    )
  const tags: Tags = { [zoneTag]: zone.name, ...hit.inbound.tags }
  if (tags[serviceTag] !== service)
    stop(
      'service',
      `${called(hit.row)} at ${at.address}:${at.port} is ${tags[serviceTag]}, not ${service}: its certificate is for that service, so the connection is refused`,
      'two proxies have one address and port: give each its own',
      [hit.row],
    )
  if (!dataplaneServices(hit.row.spec).includes(service) || !isReady(hit.inbound))
    stop('service', `${called(hit.row)} is not ready`, 'look at the service behind it', [hit.row])
  const compiled = zone.look(hit.row)
  const { model, problems } = compiled
  const address = hit.inbound.address ?? hit.row.spec.networking?.address ?? ''
  const listener = model?.listeners.find((one) => one.name === `inbound:${address}:${at.port}`)
  if (!listener)
    stop(
      'service',
      `zone ${zone.name} cannot serve ${called(hit.row)}: ${problems.map((one) => one.reason).join('; ') || 'no reason is known'}`,
      'mend what is named there',
      [hit.row],
    )
  const running = walk.compareRunning('service', compiled, typeUrls.listener, listener.name, [hit.row])
  walk.pass(
    'service',
    `${called(hit.row)} of zone ${zone.name} takes it at ${at.address}:${at.port} (${tagsOf(tags)})`,
    here.name,
    [hit.row],
    [running],
  )
  return { row: hit.row, listener, tags }
}

/** Whether the service lets the gateway in. */
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
  const rowOf = (policy: string): AnyRow[] => {
    const [kindName = '', name = ''] = policy.split(':')
    const kind = findKind(kindName)
    const isMeant = (row: AnyRow) => called(row) === `${kindName} ${name}` && row.key.mesh === arrived.row.key.mesh
    return kind ? zone.rows(kind).filter(isMeant) : []
  }
  if (denied)
    stop(
      'permission',
      `${denied.policy} denies ${who}: the answer is 403`,
      'change its from section',
      rowOf(denied.policy),
    )
  const allowed = guarded.allow.find(({ source }) => selects(source, client))
  if (!allowed)
    stop(
      'permission',
      `nothing lets ${who} in to ${arrived.tags[serviceTag]}: the answer is 403 (a TCP connection is closed)`,
      `apply a TrafficPermission with a source of ${serviceTag}=${service} and a destination of ${serviceTag}=${arrived.tags[serviceTag]}`,
      [arrived.row],
    )
  else walk.pass('permission', `${allowed.policy} lets ${service} in`, here.name, rowOf(allowed.policy))
}

const permissionsOf = ({ content }: ChainModel): Permissions | undefined =>
  content.type === 'http' || content.type === 'tcp' ? content.permissions?.rules : undefined
