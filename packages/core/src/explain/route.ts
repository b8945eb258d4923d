import { keyText } from '@zonemesh/shared/resource/resource.ts'
import { typeUrls } from '../emit/table.ts'
import { type WeightedBackend, weightBackends } from '../gateway/backends.ts'
import { matchesOf } from '../gateway/rules.ts'
import { quarantine, refusal } from '../kinds/internal.ts'
import type { AnyRow, TypedRow } from '../kinds/kind.ts'
import { meshGatewayRoute } from '../kinds/mesh-gateway-route.ts'
import type { MeshGatewayRouteSpec } from '../kinds/mesh-gateway-route-spec.ts'
import { selects } from '../kinds/tags.ts'
import { hostnameContains, hostnamesMatch, specificity } from '../match/hostnames.ts'
import { isOfRow } from '../model/exclusions.ts'
import type { RouteModel, RouteTableModel } from '../model/model.ts'
import type { CompiledZone } from './compiled-zone.ts'
import { failures, firstRoute, hostFor, nameOf } from './first-route.ts'
import type { Entrance } from './gateway.ts'
import type { Request } from './request.ts'
import { called, stop, tagsOf, type Walk } from './walk.ts'

/** Where a request goes on: backends with their clusters, or nowhere because it is answered at once. */
export interface Found {
  readonly rows: readonly AnyRow[]
  readonly backends: readonly WeightedBackend[]
  readonly redirect?: number
  /** What is done to the request; TCP has none. */
  readonly route?: RouteModel
}

/** The route that a request meets. Stops with the reason where there is none. */
export function findRoute(walk: Walk, zone: CompiledZone, entrance: Entrance, request: Request): Found {
  return request.scheme === 'http' || request.scheme === 'https'
    ? findHttp(walk, zone, entrance, request)
    : findTcp(walk, zone, entrance)
}

/** The backends of all TCP routes that are bound to the listener are one pool. */
function findTcp(walk: Walk, zone: CompiledZone, { proxy, gateway, listenerTags }: Entrance): Found {
  const routes = zone
    .rows(meshGatewayRoute)
    .map((row) => ({ row, spec: row.spec }))
    .filter(({ row, spec }) => row.key.mesh === proxy.key.mesh && spec.conf?.tcp)
  const bound = routes.filter(({ spec }) => spec.selectors.some(({ match = {} }) => selects(match, listenerTags)))
  const served = bound.filter(({ row }) => quarantineOf(zone, keyText(row.key)) === undefined)
  const [left] = bound
  if (served.length === 0 && left)
    stop(
      'route',
      `${called(left.row)} would take it, but zone ${zone.name} leaves it out: ${quarantineOf(zone, keyText(left.row.key))}`,
      'mend the route and apply it again: every new version is tried',
      [left.row],
    )
  if (served.length === 0)
    stop(
      'route',
      `no TCP route is bound to this listener, so its connections are closed: ${routes.map(({ row, spec }) => `${called(row)} selects ${spec.selectors.map(({ match = {} }) => tagsOf(match)).join(' or ')}`).join('; ') || 'there is no MeshGatewayRoute with conf.tcp'}`,
      `the listener has ${tagsOf(listenerTags)}; give a route a selector that is among these`,
      [gateway],
    )
  const rows = served.map(({ row }) => row)
  walk.pass('route', `connections go to the backends of ${rows.map(called).join(' and ')}`, zone.name, rows)
  const backends = served.flatMap(({ spec }) => (spec.conf?.tcp?.rules ?? []).flatMap((rule) => rule.backends ?? []))
  return { rows, backends: weightBackends(backends, listenerTags) }
}

function findHttp(walk: Walk, zone: CompiledZone, entrance: Entrance, request: Request): Found {
  const { proxy, gateway, listener } = entrance
  const compiled = zone.look(proxy)
  const { model } = compiled
  const found = listener.chains
    .map(({ content }) => (content.type === 'http' && 'rds' in content.routes ? content.routes.rds : ''))
    .flatMap((name) => model?.routeTables.find((one) => one.name === name) ?? [])
    .flatMap((one) => hostOf(one, request))
  const host = found.sort((a, b) => specificity(nameOf(b.host)) - specificity(nameOf(a.host)))[0]
  const route = host && firstRoute(host.host.routes, request)
  const source = route && zone.sourceOf(route)
  const row = source && zone.rows(meshGatewayRoute).find(({ key }) => keyText(key) === source.key)
  if (!host || !route || !row) return noRoute(zone, entrance, request)
  const running = walk.compareRunning('route', compiled, typeUrls.route, host.table.name, [gateway, row])
  walk.pass(
    'route',
    `rule ${source.rule} of ${called(row)} matches on host "${host.host.name}": path ${route.path.type} ${route.path.path}`,
    zone.name,
    [row],
    [running],
  )
  if (route.action.type === 'redirect') return { rows: [row], backends: [], redirect: route.action.status }
  const spec = row.spec
  const backends = spec.conf?.http?.rules?.[source.rule]?.backends ?? []
  return { rows: [row], backends: weightBackends(backends, entrance.listenerTags), route }
}

function hostOf(table: RouteTableModel, request: Request) {
  const host = hostFor(table.hosts, request.host)
  if (!host) return []
  return [{ table, host }]
}

interface Near {
  /** The nearer the better told: a route that only lacks a tag before one with another path. */
  readonly order: number
  readonly problem: string
  readonly remedy: string
  readonly row: AnyRow
}

/** Why no route is met: of all MeshGatewayRoutes of the mesh the one that is nearest to it. */
function noRoute(zone: CompiledZone, entrance: Entrance, request: Request): never {
  const { proxy, gateway } = entrance
  const { problems } = zone.look(proxy)
  const near = zone
    .rows(meshGatewayRoute)
    .filter((row) => row.key.mesh === proxy.key.mesh)
    .flatMap((row) => nearness(zone, row, entrance, request, problems))
    .sort((a, b) => a.order - b.order)[0]
  if (near) stop('route', near.problem, near.remedy, [near.row])
  const fault = zone.unparsed.find(
    ({ row }) => row.key.kind === meshGatewayRoute.name && row.key.mesh === proxy.key.mesh,
  )
  if (fault)
    stop(
      'route',
      `no rule of mesh ${proxy.key.mesh} matches, and ${called(fault.row)} cannot be parsed: ${fault.reason}`,
      'write it again; until then it is left out',
      [fault.row],
    )
  stop(
    'route',
    `no MeshGatewayRoute of mesh ${proxy.key.mesh} has a rule for ${request.method} ${request.path} on ${request.host}: the answer is 404`,
    `add a route whose selectors are among ${tagsOf(entrance.listenerTags)}`,
    [gateway],
  )
}

function nearness(
  zone: CompiledZone,
  row: TypedRow<MeshGatewayRouteSpec>,
  entrance: Entrance,
  request: Request,
  problems: readonly { readonly source: string; readonly reason: string }[],
): Near[] {
  const spec = row.spec
  const text = keyText(row.key)
  const rules = spec.conf?.http?.rules ?? []
  const missed = rules
    .flatMap((rule) => (rule.matches ?? []).flatMap((match) => matchesOf(match)))
    .map((match) => failures({ ...match, action: { type: 'redirect', status: 302 } }, request))
    .sort((a, b) => a.length - b.length)[0]
  if (!missed) return []
  const pathFits = !missed.some((one) => one.startsWith('path'))
  if (!pathFits) return []
  const bound = spec.selectors.some(({ match = {} }) => selects(match, entrance.listenerTags))
  const hostnames = spec.conf?.http?.hostnames ?? []
  const hostFits =
    hostnames.length === 0 || hostnames.some((name) => hostnameContains(name, request.host.toLowerCase()))
  const left = problems.find(({ source }) => source === text)?.reason ?? quarantineOf(zone, text)
  if (bound && hostFits && missed.length === 0 && left !== undefined)
    return [
      {
        order: 0,
        problem: `${called(row)} would match, but zone ${zone.name} leaves it out: ${left}`,
        remedy: 'mend the route and apply it again: every new version is tried',
        row,
      },
    ]
  if (!bound && hostFits && missed.length === 0)
    return [
      {
        order: 1,
        problem: `${called(row)} would match, but it is not bound to this listener: its selectors are ${spec.selectors.map(({ match = {} }) => tagsOf(match)).join(' or ')}`,
        remedy: `the listener has ${tagsOf(entrance.listenerTags)}; give the route a selector that is among these`,
        row,
      },
    ]
  if (bound && !hostFits && missed.length === 0)
    return [
      {
        order: 2,
        problem: `${called(row)} would match, but not for ${request.host}: its hostnames are ${hostnames.join(', ')}${hostnames.some((name) => hostnamesMatch(name, entrance.said.hostname || '*')) ? '' : ', of which the listener has none'}`,
        remedy: `add ${request.host} to conf.http.hostnames of the route, or ask for one of its hostnames`,
        row,
      },
    ]
  if (bound && hostFits && missed.length > 0)
    return [
      {
        order: 3,
        problem: `${called(row)} has a rule for ${request.path}, which also requires ${missed.join(' and ')}`,
        remedy: 'send that, or add a match without it',
        row,
      },
    ]
  return []
}

/** Why a version of a row is held back in a zone, if it is. */
export const quarantineOf = (zone: CompiledZone, text: string): string | undefined =>
  [...zone.rows(quarantine), ...zone.rows(refusal)].map(({ spec }) => spec).find(({ source }) => isOfRow(source, text))
    ?.reason
