import { keyText } from '@zonemesh/shared/resource/resource.ts'
import { typeUrls } from '../emit/table.ts'
import { matchesOf } from '../gateway/rules.ts'
import type { Tags } from '../kinds/common.ts'
import { quarantine, refusal } from '../kinds/internal.ts'
import type { AnyRow, TypedRow } from '../kinds/kind.ts'
import { meshGatewayRoute } from '../kinds/mesh-gateway-route.ts'
import type { MeshGatewayRouteSpec } from '../kinds/mesh-gateway-route-spec.ts'
import { selects } from '../kinds/tags.ts'
import { hostnameContains, hostnamesMatch } from '../match/hostnames.ts'
import { isOfRow } from '../model/exclusions.ts'
import type { ChainModel, RouteModel } from '../model/model.ts'
import type { Problem } from '../view/problem.ts'
import type { CompiledZone } from './compiled-zone.ts'
import { failures, firstRoute } from './first-route.ts'
import type { Entrance } from './gateway.ts'
import type { Request } from './request.ts'
import { called, stop, tagsOf, type Walk } from './walk.ts'

/** The result of routing: the clusters of the backends, or none if the gateway answers itself. */
export interface Found {
  readonly rows: readonly AnyRow[]
  readonly backends: readonly { readonly cluster: string; readonly weight: number }[]
  readonly redirect?: number
  /** The route that rewrites the request; undefined for TCP. */
  readonly route?: RouteModel
}

/** The route of a request. Stops with the reason if there is none. */
export const findRoute = (walk: Walk, zone: CompiledZone, entrance: Entrance, request: Request): Found =>
  entrance.chain.content.type === 'http'
    ? findHttp(walk, zone, entrance, request)
    : findTcp(walk, zone, entrance, entrance.chain.content)

/** The backends of all TCP routes that are bound to the listener are one pool. */
function findTcp(
  walk: Walk,
  zone: CompiledZone,
  { proxy, gateway, chain, served }: Entrance,
  content: ChainModel['content'],
): Found {
  const rows = zone.rowsOf(chain.because, meshGatewayRoute)
  if (content.type === 'tcp') {
    const { cluster } = content
    walk.pass('route', `connections go to the backends of ${rows.map(called).join(' and ')}`, zone.name, rows)
    return { rows, backends: typeof cluster === 'string' ? [{ cluster, weight: 1 }] : cluster.map(weighted) }
  }
  const routes = zone.rows(meshGatewayRoute).filter(({ key, spec }) => key.mesh === proxy.key.mesh && spec.conf?.tcp)
  const { problems } = zone.look(proxy)
  for (const row of routes.filter(({ spec }) => isBound(spec, served.tags))) {
    const left = reasonLeftOut(zone, problems, keyText(row.key))
    if (left !== undefined)
      stop(
        'route',
        `${called(row)} would take the connection, but zone ${zone.name} leaves it out: ${left}`,
        'correct the route and apply it again: the zone tries every new version',
        [row],
      )
  }
  stop(
    'route',
    `no TCP route is bound to this listener, so its connections are closed: ${routes.map((row) => `${called(row)} selects ${selectorsOf(row.spec)}`).join('; ') || 'there is no MeshGatewayRoute with conf.tcp'}`,
    `give a route a selector that has only tags of the listener, which are ${tagsOf(served.tags)}`,
    [gateway],
  )
}

const weighted = ({ name, weight }: { readonly name: string; readonly weight: number }) => ({ cluster: name, weight })

function findHttp(walk: Walk, zone: CompiledZone, entrance: Entrance, request: Request): Found {
  const { compiled, gateway, table, host } = entrance
  const route = host && firstRoute(host.routes, request)
  if (!table || !route) return noRoute(zone, entrance, request)
  const rows = zone.rowsOf(route.because)
  const [row] = zone.rowsOf(route.because, meshGatewayRoute)
  const running = walk.compareRunning('route', compiled, typeUrls.route, table.name, [gateway, ...rows])
  const { path, rule, action } = route
  walk.pass(
    'route',
    `rules[${rule}] of ${row ? called(row) : ''} matches on host "${host.name}": path ${path.type} ${path.path}`,
    zone.name,
    rows,
    [running],
  )
  const routes = row ? [row] : []
  if (action.type === 'redirect') return { rows: routes, backends: [], redirect: action.status }
  return { rows: routes, backends: action.clusters.map(weighted), route }
}

interface Near {
  /**
   * Lower values are closer matches and are reported first: a route that only lacks a tag before a route with another
   * path.
   */
  readonly order: number
  readonly problem: string
  readonly remedy: string
  readonly row: AnyRow
}

/** Stops with the reason why no route matches, taken from the closest MeshGatewayRoute of the mesh. */
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
    `add a route with a selector that has only tags of the listener, which are ${tagsOf(entrance.served.tags)}`,
    [gateway],
  )
}

function nearness(
  zone: CompiledZone,
  row: TypedRow<MeshGatewayRouteSpec>,
  entrance: Entrance,
  request: Request,
  problems: readonly Problem[],
): Near[] {
  const spec = row.spec
  const text = keyText(row.key)
  const rules = spec.conf?.http?.rules ?? []
  const missed = rules
    .flatMap((rule) => (rule.matches ?? []).flatMap((match) => matchesOf(match)))
    .map((match) => failures(match, request))
    .sort((a, b) => a.length - b.length)[0]
  if (!missed) return []
  const pathFits = !missed.some((one) => one.startsWith('path'))
  if (!pathFits) return []
  const bound = isBound(spec, entrance.served.tags)
  const hostnames = spec.conf?.http?.hostnames ?? []
  const hostFits =
    hostnames.length === 0 || hostnames.some((name) => hostnameContains(name, request.host.toLowerCase()))
  const left = reasonLeftOut(zone, problems, text)
  if (bound && hostFits && missed.length === 0 && left !== undefined)
    return [
      {
        order: 0,
        problem: `${called(row)} would match, but zone ${zone.name} leaves it out: ${left}`,
        remedy: 'correct the route and apply it again: the zone tries every new version',
        row,
      },
    ]
  if (!bound && hostFits && missed.length === 0)
    return [
      {
        order: 1,
        problem: `${called(row)} would match, but it is not bound to this listener: its selectors are ${selectorsOf(spec)}`,
        remedy: `give the route a selector that has only tags of the listener, which are ${tagsOf(entrance.served.tags)}`,
        row,
      },
    ]
  if (bound && !hostFits && missed.length === 0)
    return [
      {
        order: 2,
        problem: `${called(row)} would match, but not for ${request.host}: its hostnames are ${hostnames.join(', ')}${hostnames.some((name) => hostnamesMatch(name, entrance.served.hostname)) ? '' : ', of which the listener has none'}`,
        remedy: `add ${request.host} to conf.http.hostnames of the route, or send the request to one of its hostnames`,
        row,
      },
    ]
  if (bound && hostFits && missed.length > 0)
    return [
      {
        order: 3,
        problem: `${called(row)} has a rule for ${request.path}, which also requires ${missed.join(' and ')}`,
        remedy: 'send a request that has this, or add a match without it',
        row,
      },
    ]
  return []
}

const isBound = ({ selectors }: MeshGatewayRouteSpec, tags: Tags): boolean =>
  selectors.some(({ match = {} }) => selects(match, tags))

const selectorsOf = ({ selectors }: MeshGatewayRouteSpec): string =>
  selectors.map(({ match = {} }) => tagsOf(match)).join(' or ')

/** Why a row is left out: a problem from the compiler, or the verdict because of which the zone leaves it out. */
const reasonLeftOut = (zone: CompiledZone, problems: readonly Problem[], key: string): string | undefined =>
  problems.find(({ source }) => isOfRow(source, key))?.reason ??
  [...zone.rows(quarantine), ...zone.rows(refusal)].map(({ spec }) => spec).find(({ source }) => isOfRow(source, key))
    ?.reason
