import { displayNameLabel, zoneLabel } from '@zonemesh/core/kinds/common.ts'
import type { Kind } from '@zonemesh/core/kinds/kind.ts'
import type { VersionEntry } from '@zonemesh/plane/history/versions.ts'
import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import { stringify } from 'yaml'
import type { Overview } from '../resources/items.ts'
import { livenessOf } from '../resources/liveness.ts'
import { specIn } from '../resources/shown-item.ts'
import { fieldsText } from './show-difference.ts'
import { resourceName, zoneFacts } from './show-status.ts'
import { age, columns } from './table.ts'

/** What a plane has about one resource. */
export interface Described {
  readonly kind: Kind
  readonly overview: Overview
  /** The newest version; undefined if the plane has no history of it. */
  readonly version: VersionEntry | undefined
  /** The status of the plane. */
  readonly status: JsonObject
  readonly nowMs: number
}

type Facts = readonly (readonly [title: string, text: string])[]
const rows = (value: unknown): readonly JsonObject[] => (Array.isArray(value) ? value : [])

/** The description of a resource, as lines. */
export function descriptionLines(described: Described): string[] {
  const { kind, overview } = described
  const { item } = overview
  return [
    ...factLines([
      ['Kind', kind.name],
      ...(kind.scope === 'mesh' ? [['Mesh', String(item['mesh'])] as const] : []),
      ['Name', String(item['name'])],
      ['Belongs to', ownerText(item, described.status)],
      ...labelFacts(item),
      ...changeFacts(described),
    ]),
    ...section('Connection', liveFacts(overview, described.nowMs)),
    ...section('Zone', zoneFactsOf(described)),
    ...section('Certificate', certificateFacts(overview)),
    ...listed('Refused or not served', problemsOf(described)),
    ...listed(
      'Cannot be parsed',
      rows(item['unparsed']).map(({ field, reason }) => `${field}: ${reason}`),
    ),
    'Spec:',
    ...specLines(kind, item),
  ]
}

const factLines = (facts: Facts): string[] =>
  columns(facts.map(([title, text]) => [title === '' ? '' : `${title}:`, text])).map((line) => line.trimEnd())

const section = (title: string, facts: Facts): string[] =>
  facts.length === 0 ? [] : [`${title}:`, ...factLines(facts).map((line) => `  ${line}`)]

const listed = (title: string, lines: readonly string[]): string[] =>
  lines.length === 0 ? [] : [`${title}:`, ...lines.map((line) => `  ${line}`)]

function ownerText(item: JsonObject, status: JsonObject): string {
  const zone: unknown = Object(item['labels'])[zoneLabel]
  if (typeof zone === 'string') return `zone ${zone}`
  return status['role'] === 'standalone' ? `zone ${String(status['zone'])}` : 'the global control plane'
}

function labelFacts(item: JsonObject): Facts {
  const labels = Object.entries(Object(item['labels'])).map(([key, value]) => `${key}=${String(value)}`)
  return (labels.length === 0 ? ['none'] : labels).map((text, index) => [index === 0 ? 'Labels' : '', text])
}

/** When and by whom the resource was written, and which zones run that version. */
function changeFacts({ overview: { item }, version, nowMs }: Described): Facts {
  const at = (time: unknown) => `${String(time)} (${age(String(time), nowMs)} ago)`
  const { who, why, short, changes, zones } = version ?? {}
  const by = version ? ` by ${who ?? '(not kept)'}${why ? `: ${why}` : ''}, ${short}` : ''
  return [
    ['Created', at(item['creationTime'])],
    ['Changed', `${at(item['modificationTime'])}${by}`],
    ...(changes && changes.length > 0 ? [['Fields', fieldsText(changes)] as const] : []),
    ...(zones ?? []).map(
      ({ zone, state, storedAt, servedAt }, index) =>
        [
          index === 0 ? 'Zones' : '',
          `${zone}: ${state}${(servedAt ?? storedAt) ? ` at ${servedAt ?? storedAt}` : ''}`,
        ] as const,
    ),
  ]
}

function liveFacts({ insight }: Overview, nowMs: number): Facts {
  if (!insight) return []
  const { state, since, version, envoy } = livenessOf(insight)
  const last: unknown = Array.isArray(insight['subscriptions']) ? insight['subscriptions'].at(-1) : undefined
  const total = Object(Object(Object(last)['status'])['total'])
  return [
    ['Status', since === undefined ? state : `${state} since ${since} (${age(since, nowMs)})`],
    ...(version === undefined ? [] : [['Version', version] as const]),
    ...(envoy === undefined ? [] : [['Envoy', envoy] as const]),
    ...(total['responsesSent'] === undefined
      ? []
      : [
          [
            'Answers',
            `${total['responsesSent']} sent, ${total['responsesAcknowledged'] ?? 0} accepted, ${total['responsesRejected'] ?? 0} refused`,
          ] as const,
        ]),
  ]
}

/** What the global reports about a zone. */
function zoneFactsOf({ kind, overview: { item }, status }: Described): Facts {
  const found = kind.name === 'Zone' ? rows(status['zones']).find(({ zone }) => zone === item['name']) : undefined
  return found ? zoneFacts(found) : []
}

function certificateFacts({ insight }: Overview): Facts {
  const { certificateExpirationTime: ends, issuedBackend: backend } = Object(insight?.['mTLS'])
  return typeof ends === 'string'
    ? [
        ['Expires', ends],
        ['Issued by', String(backend ?? '-')],
      ]
    : []
}

/** The verdicts and warnings of a status that concern a resource, and what a proxy itself refuses. */
function problemsOf({ kind, overview: { item }, status }: Described): string[] {
  const name = String(Object(item['labels'])[displayNameLabel] ?? item['name'])
  const mesh = String(item['mesh'] ?? '')
  const isMine = (key: unknown) => {
    const [, ofKind, ofMesh, ofName] = String(key).split('/')
    return ofKind === kind.name && ofMesh === mesh && ofName === name
  }
  const isNamed = (row: JsonObject) => row['kind'] === kind.name && (row['mesh'] ?? '') === mesh && row['name'] === name
  const verdicts = [
    ...[...rows(status['verdicts']), ...quarantined(status)].map((one) => ({ one, at: '' })),
    ...rows(status['zones']).flatMap((zone) =>
      [...rows(zone['verdicts']), ...rows(zone['refused'])].map((one) => ({ one, at: ` in ${String(zone['zone'])}` })),
    ),
  ]
  const mine = verdicts.flatMap(({ one, at }) => {
    const by = one['subject'] ? ` by ${resourceName(one['subject'])}` : ''
    if (isMine(one['key'])) return [`${String(one['outcome'])}${at}${by}: ${String(one['reason'])}`]
    return isMine(one['subject']) ? [`refuses ${resourceName(one['key'])}: ${String(one['reason'])}`] : []
  })
  const proxies = rows(status['proxies']).filter(({ proxy, reason }) => reason !== undefined && isMine(proxy))
  return [
    ...new Set([
      ...mine,
      ...proxies.map(({ reason }) => String(reason)),
      ...rows(status['unserved'])
        .filter(isNamed)
        .map(({ warning }) => `not served: ${String(warning)}`),
    ]),
  ]
}

const quarantined = (status: JsonObject): JsonObject[] =>
  rows(status['quarantined']).map((one): JsonObject => ({ ...one, outcome: 'quarantined' }))

/** The spec as YAML. The data of a secret is not shown, only its size. */
function specLines(kind: Kind, item: JsonObject): string[] {
  const spec = specIn(kind, item)
  const shown = kind.adminOnly ? { data: `(${Buffer.from(String(spec['data'] ?? ''), 'base64').length} bytes)` } : spec
  return stringify(shown, { lineWidth: 0 })
    .trimEnd()
    .split('\n')
    .map((line) => `  ${line}`)
}
