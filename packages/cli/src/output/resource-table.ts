import { zoneLabel } from '@zonemesh/core/kinds/common.ts'
import type { Column, Kind, Shown } from '@zonemesh/core/kinds/kind.ts'
import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import { type Overview, overviewOf } from '../resources/items.ts'
import { inZone, livenessOf } from '../resources/liveness.ts'
import { shownIn, specIn } from '../resources/shown-item.ts'
import { age } from './table.ts'

export interface TableOptions {
  readonly isWide: boolean
  readonly nowMs: number
  /** Zones without a session. What they last reported may be old. */
  readonly offlineZones: ReadonlySet<string>
}

const specShown = 160

/** The titles of the columns of a kind. */
export function titlesOf(kind: Kind, isWide: boolean): string[] {
  return [
    ...(kind.scope === 'mesh' ? ['MESH'] : []),
    'NAME',
    ...columnsOf(kind, isWide).map(({ title }) => title),
    ...(overviewOf(kind) ? ['STATUS', 'SINCE', 'VERSION', ...(isWide ? ['ENVOY'] : [])] : []),
    'CHANGED',
    ...(isWide ? ['LABELS', 'SPEC'] : []),
  ]
}

/** The cells of one resource, in the order of the titles. */
export function cellsOf(kind: Kind, overview: Overview, options: TableOptions): string[] {
  const { item } = overview
  const { isWide, nowMs } = options
  return [
    ...(kind.scope === 'mesh' ? [String(item['mesh'])] : []),
    String(item['name']),
    ...ownCells(kind, item, isWide),
    ...(overviewOf(kind) ? liveCells(overview, options) : []),
    age(String(item['modificationTime']), nowMs),
    ...(isWide ? [labelsText(item), cut(JSON.stringify(specIn(kind, item)))] : []),
  ]
}

const columnsOf = (kind: Kind, isWide: boolean): readonly Column<never>[] =>
  kind.columns.filter((column) => isWide || !column.isWide)

/** The columns of the kind. A resource that cannot be parsed has its reason in the first one. */
function ownCells(kind: Kind, item: JsonObject, isWide: boolean): string[] {
  const shown = shownIn(kind, item)
  return columnsOf(kind, isWide).map((column, index) =>
    shown ? cellOf(column, shown) : index === 0 ? 'cannot be parsed' : '-',
  )
}

function cellOf(column: Column<never>, shown: Shown<never>): string {
  const text = column.cell(shown)
  return text === '' ? '-' : text
}

function liveCells({ item, insight }: Overview, { isWide, nowMs, offlineZones }: TableOptions): string[] {
  const zone = String(Object(item['labels'])[zoneLabel] ?? item['zone'] ?? '')
  const { state, since, version, envoy } = inZone(livenessOf(insight), offlineZones.has(zone))
  return [state, since === undefined ? '-' : age(since, nowMs), version ?? '-', ...(isWide ? [envoy ?? '-'] : [])]
}

/** The start of a long spec. */
const cut = (text: string): string => (text.length > specShown ? `${text.slice(0, specShown)}…` : text)

/** `a=b,c=d`, or `-`. */
export const labelsText = (item: JsonObject): string =>
  Object.entries(item['labels'] ?? {})
    .map(([key, value]) => `${key}=${String(value)}`)
    .join(',') || '-'
