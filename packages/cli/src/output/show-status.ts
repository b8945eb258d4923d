import { lostHoldId } from '@zonemesh/plane/status/lost.ts'
import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import { globalOrigin } from '@zonemesh/shared/resource/resource.ts'
import type { Context } from '../base/command.ts'
import { type Colour, painted as inColour } from './colour.ts'
import { table } from './table.ts'
import { oneLine } from './terminal-text.ts'

export const text = (value: unknown): string => (value === undefined || value === null ? '-' : oneLine(String(value)))
const values = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : [])
export const rows = (value: unknown): readonly JsonObject[] => (Array.isArray(value) ? value : [])
/** The plane responds with these shapes. A field that an older plane does not report counts as empty. */
export const part = (value: unknown): JsonObject => (value ?? {}) as JsonObject

/** A duration as text: `1.5s`, `40s`, `4m 10s`, `3h`. */
export function duration(ms: unknown): string {
  if (typeof ms !== 'number' || ms < 0) return '-'
  if (ms < 1_000) return `${Math.round(ms)}ms`
  const seconds = Math.round(ms / 1_000)
  if (seconds < 60) return `${seconds}s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return seconds % 60 === 0 ? `${minutes}m` : `${minutes}m ${seconds % 60}s`
  return `${Math.floor(minutes / 60)}h`
}

const colourByState: Readonly<Record<string, Colour>> = {
  current: 'green',
  behind: 'yellow',
  offline: 'yellow',
  held: 'red',
  refused: 'red',
}

/** A line in the colour of its state. */
const painted = (line: string, state: string): string => inColour(line, colourByState[state])

/** `global/MeshGatewayRoute/default/r` → `MeshGatewayRoute default/r`. */
export function resourceName(key: unknown): string {
  const [, kind = '', mesh = '', name = ''] = text(key).split('/')
  return kind === '' ? text(key) : `${kind} ${mesh === '' ? '' : `${mesh}/`}${name}`
}

/** Codes of session ends that an operator must act on. */
const refusals: ReadonlySet<unknown> = new Set(['wrong-global', 'refused', 'held-by-another', 'protocol', 'too-large'])

/** The states of a zone in the table of zones. */
export const zoneStates = ['disabled', 'not started', 'refused', 'offline', 'held', 'current', 'behind'] as const

export function stateOf(zone: JsonObject): (typeof zoneStates)[number] {
  const isRefused = refusals.has(part(zone['lastEnd'])['code'])
  if (zone['enabled'] === false) return 'disabled'
  if (zone['started'] === false) return 'not started'
  if (zone['connected'] !== true) return isRefused ? 'refused' : 'offline'
  if (rows(zone['holds']).length > 0) return 'held'
  return zone['current'] === true ? 'current' : 'behind'
}

function behind(zone: JsonObject): string {
  const { lagRevisions: lag, lagMs } = zone
  if (typeof lag !== 'number') return '-'
  return lag === 0 ? 'nothing' : `${lag} revision${lag === 1 ? '' : 's'}, ${duration(lagMs)}`
}

/** How long the end of a former session is shown after the zone is connected again. */
const newsMs = 600_000

/** What a global reports about one zone, as titles and texts. */
export function zoneFacts(zone: JsonObject): readonly (readonly [title: string, text: string])[] {
  const { stored, served } = part(zone['revision'])
  const { connected, total } = part(zone['proxies'])
  return [
    ['State', stateOf(zone)],
    ['Revision', `stored ${text(stored)}, served ${text(served)}, behind ${behind(zone)}`],
    ['Proxies', `${text(connected)} of ${text(total)} connected`],
    ['Host', text(zone['host'])],
    ...(zone['reason'] === undefined ? [] : [['Reason', text(zone['reason'])] as const]),
    ...zoneNews(zone).map((line, index) => [index === 0 ? 'Attention' : '', line] as const),
  ]
}

/** The lines below the table: conditions that an operator must act on, each with the command to run. */
function zoneNews(zone: JsonObject): string[] {
  const name = text(zone['zone'])
  const end = part(zone['lastEnd'])
  const { remains } = zone
  const isNews = refusals.has(end['code']) && typeof end['msAgo'] === 'number' && end['msAgo'] < newsMs
  return [
    ...(stateOf(zone) === 'not started' ? [notStartedLine(name)] : []),
    ...rows(zone['holds']).map((hold) => holdLine(name, hold)),
    ...clockLines(`zone ${name}`, zone['clockAheadMs']),
    ...(remains === undefined ? [] : [remainsLine(name, part(remains))]),
    ...leftOutLines(name, part(zone['proxies'])['reportsLeftOut']),
    ...(zone['connected'] === true && isNews
      ? [`refused ${duration(end['msAgo'])} ago: a session of zone ${name}: ${text(end['reason'])}`]
      : []),
  ]
}

const notStartedLine = (zone: string): string =>
  `not started: zone ${zone}; start its control plane with the join string of: zonemesh token zone ${zone}`

const holdLine = (zone: string, { id, reason, removals }: JsonObject): string =>
  `held in ${zone}: ${text(reason)}${Number(removals) > 0 ? `; ${text(removals)} rows would be removed` : ''}; ` +
  `release it with: zonemesh zone release ${zone} --hold ${text(id)}`

const remainsLine = (zone: string, { rows: count, expiresInMs }: JsonObject): string =>
  `remains of a former store of ${zone}: ${text(count)} rows, which are removed in ${duration(expiresInMs)}; ` +
  `keep them with: zonemesh zone keep ${zone}`

const leftOutLines = (zone: string, count: unknown): string[] =>
  count === undefined
    ? []
    : [
        `zone ${zone}: ${text(count)} reports on proxies are left out; allow more with --zone-report-bytes-max of the global`,
      ]

const deletedLine = (zone: string): string =>
  `zone ${zone} is deleted and its rows are still here; remove them with: zonemesh zone forget ${zone}`

/** A warning about clocks. If they differ too much, certificates and tokens fail. `aheadMs` is present only then. */
const clockLines = (peer: string, aheadMs: unknown): string[] =>
  typeof aheadMs !== 'number'
    ? []
    : [
        `clock: ${peer} is ${duration(Math.abs(aheadMs))} ${aheadMs > 0 ? 'ahead of' : 'behind'} this control plane; ` +
          'set both clocks by a time service, or certificates and tokens fail',
      ]

/** Shows the zones as the global sees them. */
export function showZones({ print }: Pick<Context, 'print'>, zones: readonly JsonObject[]): void {
  if (zones.length === 0) {
    print('no zones; `zonemesh token zone NAME` creates one')
    return
  }
  const states = zones.map(stateOf)
  const cells = zones.map((zone, index) => {
    const { stored, served } = part(zone['revision'])
    const { connected, total } = part(zone['proxies'])
    return [
      text(zone['zone']),
      states[index] ?? '',
      text(stored),
      text(served),
      behind(zone),
      duration(zone['lastProgressMsAgo']),
      text(zone['epoch']),
      text(rows(zone['quarantined']).length),
      `${text(connected)}/${text(total)}`,
      text(zone['host']),
      states[index] === 'disabled' ? '' : text(zone['reason'] ?? ''),
    ]
  })
  const header = [
    'ZONE',
    'STATE',
    'STORED',
    'SERVED',
    'BEHIND',
    'PROGRESS',
    'SESSION',
    'QUARANTINED',
    'PROXIES',
    'HOST',
    'REASON',
  ]
  for (const [index, line] of table(header, cells).entries()) print(painted(line.trimEnd(), states[index - 1] ?? ''))
  for (const line of zones.flatMap(zoneNews)) print(painted(line, line.split(' ')[0] ?? ''))
}

/** Shows the connection of a zone to its global, as the zone sees it. */
export function showUplink({ print }: Pick<Context, 'print'>, zone: string, uplink: JsonObject): void {
  const hold = uplink['hold'] === undefined ? undefined : part(uplink['hold'])
  const isConnected = uplink['phase'] === 'connected'
  const state = !isConnected ? text(uplink['phase']) : hold ? 'held' : uplink['current'] === true ? 'current' : 'behind'
  const here =
    uplink['bookmarkMsAgo'] === undefined ? 'not confirmed yet' : `confirmed ${duration(uplink['bookmarkMsAgo'])} ago`
  const lastSeen = uplink['replica'] === undefined ? here : `as replica ${text(uplink['replica'])} reports`
  const why = uplink['reason'] ? `: ${text(uplink['reason'])};` : ','
  const line = `uplink ${text(uplink['phase'])}${why} ${isConnected ? `${state}, ` : ''}global revision ${text(uplink['revision'])}, ${lastSeen}`
  print(painted(line, state))
  for (const line of clockLines('the global', uplink['clockAheadMs'])) print(painted(line, 'behind'))
  if (hold) print(painted(holdLine(zone, hold), 'held'))
}

/** The processes of the zone. One process alone is no replica. */
function showReplicas({ print }: Pick<Context, 'print'>, replicas: readonly JsonObject[]): void {
  if (replicas.length < 2) return
  const cells = replicas.map(({ name, leads, compiled, version = '-' }) => [
    text(name),
    leads === true ? 'leads' : 'follows',
    text(compiled),
    text(version),
  ])
  for (const line of table(['REPLICA', 'ROLE', 'COMPILED', 'VERSION'], cells)) print(line.trimEnd())
}

export function showProxies({ print }: Pick<Context, 'print'>, zone: string, proxies: readonly JsonObject[]): void {
  if (proxies.length === 0) {
    print('no proxies; `zonemesh dataplane` starts one')
    return
  }
  const cells = proxies.map((proxy) => [
    resourceName(proxy['proxy']),
    text(proxy['state']),
    text(proxy['served']),
    text(proxy['reason'] ?? ''),
  ])
  for (const line of table(['PROXY', 'STATE', 'SERVED', 'REASON'], cells)) print(line.trimEnd())
  const lost = proxies.filter(({ state }) => state === 'lost').length
  if (lost > 0) print(painted(lostLine(zone, lost), 'held'))
}

const lostLine = (zone: string, lost: number): string =>
  `${lost} ${lost === 1 ? 'proxy was' : 'proxies were'} lost at once: other Envoys probe the endpoints; if they do not return, remove them with: zonemesh zone release ${zone} --hold ${lostHoldId}`

const rowName = ({ kind, mesh, name }: JsonObject): string =>
  `${text(kind)} ${mesh ? `${text(mesh)}/` : ''}${text(name)}`

const originText = (origin: unknown): string => (origin === globalOrigin ? 'the global' : `zone ${text(origin)}`)

const expiringLine = ({ what, who, ends, endsInMs, remedy }: JsonObject): string =>
  `expiring: ${text(what)} of ${text(who)} ${Number(endsInMs) > 0 ? `expires in ${duration(endsInMs)}` : 'has expired'} (${text(ends)})${remedy === undefined ? '' : `; ${text(remedy)}`}`

const notYetValidLine = ({ what, who, begins, beginsInMs, remedy }: JsonObject): string =>
  `not valid yet: ${text(what)} of ${text(who)} becomes valid in ${duration(beginsInMs)} (${text(begins)}); ${text(remedy)}`

/** The plane that answers: `global control plane`, or `control plane of zone east`. */
const planeText = ({ role, zone }: JsonObject): string =>
  role === 'global'
    ? 'global control plane'
    : `${role === 'zone' ? '' : `${text(role)} `}control plane of zone ${text(zone)}`

/** Shows the response of `GET /_status`. */
export function showStatus({ print }: Pick<Context, 'print'>, body: JsonObject): void {
  print(`${planeText(body)}, store ${text(body['store'])}, revision ${text(body['revision'])}`)
  if (body['storeFault'] !== undefined) print(`the store takes no writes: ${text(body['storeFault'])}`)
  const redis = part(body['redis'])
  if (redis['phase'] === 'away')
    print(
      `Redis does not answer since ${text(redis['since'])}: ${text(redis['reason'])}; replicas wake each other by the database`,
    )
  if (body['role'] === 'global') {
    showZones({ print }, rows(body['zones']))
    for (const zone of values(body['deletedZones'])) print(painted(deletedLine(text(zone)), 'behind'))
  }
  if (body['role'] !== 'global') {
    if (body['role'] === 'zone') showUplink({ print }, text(body['zone']), part(body['uplink']))
    showReplicas({ print }, rows(body['replicas']))
    showProxies({ print }, text(body['zone']), rows(body['proxies']))
  }
  const verdicts: readonly JsonObject[] = [
    ...rows(body['verdicts']),
    ...rows(body['quarantined']).map((one): JsonObject => ({ ...one, outcome: 'quarantined' })),
    ...rows(body['zones']).flatMap((zone) =>
      [...rows(zone['verdicts']), ...rows(zone['refused'])].map(
        (one): JsonObject => ({ ...one, zone: zone['zone'] ?? '' }),
      ),
    ),
  ]
  for (const one of verdicts) {
    const at = one['zone'] === undefined ? '' : ` in ${text(one['zone'])}`
    const by = one['subject'] ? ` by ${resourceName(one['subject'])}` : ''
    print(`${text(one['outcome'])}: ${resourceName(one['key'])}${at}${by}: ${text(one['reason'])}`)
  }
  for (const { mesh, reason } of rows(body['rotations']))
    print(painted(`rotation in mesh ${text(mesh)}: ${text(reason)}`, 'behind'))
  for (const one of rows(body['expiring'])) print(painted(expiringLine(one), 'behind'))
  for (const one of rows(body['notYetValid'])) print(painted(notYetValidLine(one), 'refused'))
  for (const one of rows(body['unserved'])) print(`not served: ${rowName(one)}: ${text(one['warning'])}`)
  for (const one of rows(body['unparsed']))
    print(
      painted(`cannot be parsed: ${rowName(one)} of ${originText(one['origin'])}: ${text(one['reason'])}`, 'refused'),
    )
  const more = Number(body['unparsedTotal'] ?? 0) - rows(body['unparsed']).length
  if (more > 0) print(painted(`cannot be parsed: ${more} more rows`, 'refused'))
}
