import { table } from './table.ts'

/** The counters of one Envoy at a moment. */
export interface Counters {
  /** The proxy whose Envoy this is. */
  readonly proxy: string
  readonly atMs: number
  readonly values: ReadonlyMap<string, number>
  /** The 50th and 99th percentile of response times in milliseconds, by the name of the histogram. */
  readonly times: ReadonlyMap<string, { readonly p50: number | undefined; readonly p99: number | undefined }>
}

/** What passed one listener or went to one service of a proxy between two moments. */
interface Traffic {
  readonly proxy: string
  readonly direction: 'in' | 'out'
  readonly name: string
  readonly requestsPerSecond: number
  readonly errorsPerSecond: number
  readonly p50Ms: number | undefined
  readonly p99Ms: number | undefined
  readonly connections: number
}

/** Listeners and clusters of Envoy itself: its admin interface, its zone, and the service behind a sidecar. */
const own = { http: /^(admin|async-client)$/, cluster: /^(ads_cluster|localhost_\d+|kuma_.*|access_log_.*)$/ }

/**
 * What passed between two readings of the same Envoy. A counter that became smaller belongs to an Envoy that was started
 * again: it counts from zero.
 */
export function trafficBetween(before: Counters, after: Counters): readonly Traffic[] {
  const seconds = Math.max(after.atMs - before.atMs, 1) / 1_000
  const rate = (name: string): number => {
    const [from, to] = [before.values.get(name) ?? 0, after.values.get(name) ?? 0]
    return (to < from ? to : to - from) / seconds
  }
  const row = (direction: Traffic['direction'], name: string, prefix: string, side: string): Traffic => ({
    ...{ proxy: after.proxy, direction, name },
    requestsPerSecond: rate(`${prefix}.${side}_rq_total`),
    errorsPerSecond: rate(`${prefix}.${side}_rq_5xx`),
    p50Ms: after.times.get(`${prefix}.${side}_rq_time`)?.p50,
    p99Ms: after.times.get(`${prefix}.${side}_rq_time`)?.p99,
    connections: after.values.get(`${prefix}.${side}_cx_active`) ?? 0,
  })
  return [
    ...namesIn(after, 'http', 'downstream').map((name) => row('in', name, `http.${name}`, 'downstream')),
    ...namesIn(after, 'cluster', 'upstream').map((name) => row('out', name, `cluster.${name}`, 'upstream')),
  ]
}

/** The names between `http.` and `.downstream_rq_total`. A name may contain dots. */
function namesIn({ values }: Counters, prefix: 'http' | 'cluster', side: string): readonly string[] {
  const [start, end] = [`${prefix}.`, `.${side}_rq_total`]
  return [...values.keys()]
    .filter((key) => key.startsWith(start) && key.endsWith(end))
    .map((key) => key.slice(start.length, -end.length))
    .filter((name) => !own[prefix].test(name))
    .sort()
}

/** Clusters of a route carry a hash of their subset at the end, which says nothing to a reader. */
const shownName = (name: string): string => name.replace(/-[0-9a-f]{15,16}$/, '')
const number = (value: number): string =>
  value === 0 ? '0' : value < 10 ? value.toFixed(1) : String(Math.round(value))
const time = (ms: number | undefined): string => (ms === undefined ? '-' : `${number(ms)}ms`)

/** The table of traffic. */
export const trafficLines = (rows: readonly Traffic[]): readonly string[] =>
  table(
    ['PROXY', '', 'LISTENER OR SERVICE', 'REQUESTS/S', '5XX/S', 'P50', 'P99', 'CONNECTIONS'],
    rows.map((one) => [
      one.proxy,
      one.direction,
      shownName(one.name),
      number(one.requestsPerSecond),
      number(one.errorsPerSecond),
      time(one.p50Ms),
      time(one.p99Ms),
      String(one.connections),
    ]),
  )
