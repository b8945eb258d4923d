import { firstOf, hostPort, tagsText } from './columns.ts'
import { serviceTag, zoneLabel, zoneTag } from './common.ts'
import { checkDataplane } from './dataplane-checks.ts'
import { type DataplaneSpec, dataplaneRole, dataplaneSchema, dataplaneServices, isReady } from './dataplane-spec.ts'
import { type Column, defineKind, type IndexEntry, type TypedRow } from './kind.ts'
import { demand, ranges } from './ranges.ts'

/** Only rows of the compiler's own zone are indexed: instances of other zones are reached through their ingresses. */
function indexOf({ key, spec }: TypedRow<DataplaneSpec>, zone: string): readonly IndexEntry[] {
  if (key.origin !== zone) return []
  const { networking } = spec
  const { mesh } = key
  const gateway = dataplaneRole(spec) === 'builtin' ? networking?.gateway?.tags?.[serviceTag] : ''
  return [
    { range: ranges.ownMeshes, member: mesh },
    ...(gateway
      ? [{ range: ranges.gateways(mesh, gateway) }, { range: ranges.ownGateways(mesh), member: gateway }]
      : []),
    ...(networking?.inbound ?? []).flatMap((one) => {
      const service = one.tags?.[serviceTag]
      if (!service || one.state === 'Ignored') return []
      return [
        { range: ranges.serving(mesh, service) },
        ...(isReady(one) ? [{ range: ranges.ownServices(mesh), member: service }] : []),
      ]
    }),
    ...(networking?.outbound ?? []).flatMap((one) => demand(mesh, one.tags)),
  ]
}

/** The tag sets of a Dataplane: those of its inbounds, or those of its gateway. */
const tagSets = ({ networking }: DataplaneSpec) => [
  ...(networking?.gateway ? [networking.gateway.tags ?? {}] : []),
  ...(networking?.inbound ?? []).map(({ tags }) => tags ?? {}),
]

const columns: readonly Column<DataplaneSpec>[] = [
  { title: 'SERVICE', cell: ({ spec }) => firstOf(dataplaneServices(spec)) },
  {
    title: 'ADDRESS',
    cell: ({ spec: { networking } }) => hostPort(networking?.address, networking?.inbound?.[0]?.port),
  },
  {
    title: 'ZONE',
    cell: ({ spec, labels }) => labels[zoneLabel] ?? tagSets(spec).find((tags) => tags[zoneTag])?.[zoneTag] ?? '',
  },
  {
    title: 'READY',
    cell: ({ spec: { networking } }) => {
      const inbounds = (networking?.inbound ?? []).filter(({ state }) => state !== 'Ignored')
      return inbounds.length === 0 ? '' : `${inbounds.filter(isReady).length}/${inbounds.length}`
    },
  },
  { title: 'ROLE', isWide: true, cell: ({ spec }) => dataplaneRole(spec) },
  { title: 'TAGS', isWide: true, cell: ({ spec }) => tagSets(spec).map(tagsText).join('; ') },
]

export const dataplane = defineKind({
  name: 'Dataplane',
  path: 'dataplanes',
  shortName: 'dp',
  title: { singular: 'Dataplane', plural: 'Dataplanes' },
  scope: 'mesh',
  travel: 'zone-to-global',
  writable: { global: false, zone: true },
  schema: dataplaneSchema,
  compiled: {
    owner: 'zone',
    blame: 110,
    index: indexOf,
    names: ({ key, spec }, zone) =>
      key.origin === zone
        ? (spec.networking?.inbound ?? []).flatMap(({ state, tags }) =>
            state === 'Ignored' ? [] : tags?.[serviceTag] || [],
          )
        : [],
  },
  check: checkDataplane,
  columns,
  unserved: ({ networking, metrics, probes }) => [
    ...(metrics ? ['metrics: not served yet'] : []),
    ...(probes ? ['probes: not served yet'] : []),
    ...((networking?.listeners ?? []).length > 0
      ? ['networking.listeners: zone proxies on a Dataplane are not served; use a ZoneIngress']
      : []),
    ...(networking?.inbound ?? []).flatMap((one, index) =>
      one.serviceProbe
        ? [`networking.inbound[${index}].serviceProbe: health of the service is not probed yet; it counts as ready`]
        : [],
    ),
    ...(networking?.outbound ?? []).flatMap((one, index) => [
      ...(one.backendRef ? [`networking.outbound[${index}].backendRef: not served; use tags`] : []),
    ]),
    ...(networking?.transparentProxying?.redirectPortOutbound
      ? ['networking.transparentProxying.redirectPortOutbound: transparent proxying is not served yet']
      : []),
    ...(networking?.transparentProxying?.reachableBackends
      ? ['networking.transparentProxying.reachableBackends: not served; use reachableServices']
      : []),
  ],
})
