import { type Selectors, serviceTag, type Tags } from './common.ts'
import type { Column } from './kind.ts'

/** Texts for the columns of lists. Each is one line, and short: a list names the first few of many. */

const shownMax = 3

/** `a, b, c +2`: the first texts of a list, and how many more there are. Equal texts count once. */
export function firstOf(texts: readonly string[], max = shownMax): string {
  const all = [...new Set(texts)]
  const more = all.length - max
  return `${all.slice(0, max).join(', ')}${more > 0 ? ` +${more}` : ''}`
}

/** `web`, `web,version=v2` or `team=a`: the service by its name alone, and the other tags as they are. */
export function tagsText(tags: Tags | undefined): string {
  const entries = Object.entries(tags ?? {}).filter(([key]) => key !== serviceTag)
  const service = tags?.[serviceTag]
  const others = entries.sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, value]) => `${key}=${value}`)
  return [...(service === undefined ? [] : [service]), ...others].join(',')
}

/** The selectors of a resource: `web, team=a +1`. */
export const selectorsText = (selectors: Selectors | undefined): string =>
  firstOf((selectors ?? []).map(({ match }) => tagsText(match)))

/** `10.0.0.1:80`, `[::1]:80` or `:80`. The empty text if both are absent. */
export function hostPort(host: string | undefined, port: number | undefined): string {
  const shown = host?.includes(':') ? `[${host}]` : (host ?? '')
  return port === undefined ? shown : `${shown}:${port}`
}

/** The two ends of a policy for connections. */
export const connectionColumns: readonly Column<{
  readonly sources: Selectors
  readonly destinations: Selectors
}>[] = [
  { title: 'SOURCES', cell: ({ spec }) => selectorsText(spec.sources) },
  { title: 'DESTINATIONS', cell: ({ spec }) => selectorsText(spec.destinations) },
]

/** The set fields of an object by their paths: `connectTimeout=1s, http.requestTimeout=5s +1`. */
export const fieldsOf = (conf: object | undefined): string => firstOf(leavesOf(conf ?? {}))

function leavesOf(value: object): string[] {
  return Object.entries(value).flatMap(([key, inner]: [string, unknown]) => {
    if (inner === undefined) return []
    if (inner === null || typeof inner !== 'object') return [`${key}=${String(inner)}`]
    if (Array.isArray(inner)) return [`${key}=${inner.map(String).join('|')}`]
    return leavesOf(inner).map((leaf) => `${key}.${leaf}`)
  })
}
