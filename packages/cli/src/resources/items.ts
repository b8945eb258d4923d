import type { Kind } from '@zonemesh/core/kinds/kind.ts'
import { findKind } from '@zonemesh/core/registry.ts'
import { type OverviewKind, overviewKinds } from '@zonemesh/plane/api/overview-kinds.ts'
import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import { type Client, requireFields } from '../base/client.ts'
import { livenessOf } from './liveness.ts'
import { isSelected, type Selector } from './selector.ts'

/** Where a command lists resources: a mesh, or all meshes if it is undefined. */
export interface Scope {
  readonly mesh: string | undefined
  readonly selector: Selector
}

/** The URL of a list. The plane filters by labels, except for Dataplanes, whose tags count too. */
function listPath(kind: Kind, { mesh, selector }: Scope, suffix: string): (offset: number) => string {
  const root = kind.scope === 'mesh' && mesh !== undefined ? `/meshes/${encodeURIComponent(mesh)}` : ''
  const filters: [string, string][] =
    kind.name === 'Dataplane' ? [] : [...selector].map(([key, value]) => [`filter[labels.${key}]`, value])
  return (offset) => {
    const query = new URLSearchParams([...filters, ['size', '1000'], ['offset', String(offset)]])
    return `${root}/${kind.path}${suffix}?${query}`
  }
}

async function pagesOf(client: Client, pathAt: (offset: number) => string): Promise<JsonObject[]> {
  const items: JsonObject[] = []
  for (let offset = 0; ; ) {
    const reply = await client.need('GET', pathAt(offset))
    requireFields(client, reply, ['items', 'next'])
    // The plane answers with its own list type.
    const page = reply.json as {
      readonly items: readonly JsonObject[]
      readonly next: string | null
    }
    items.push(...page.items)
    offset += page.items.length
    if (page.next === null || page.items.length === 0) return items
  }
}

/** All pages of a list, without the resources that the selector does not select. */
export async function listItems(client: Client, kind: Kind, scope: Scope): Promise<JsonObject[]> {
  const items = await pagesOf(client, listPath(kind, scope, ''))
  return items.filter((item) => isSelected(kind, item, scope.selector))
}

export const overviewOf = (kind: Kind): OverviewKind | undefined => overviewKinds.find((one) => one.kind === kind.name)

/** A resource with its insight; kinds without insights have none. */
export interface Overview {
  readonly item: JsonObject
  readonly insight: JsonObject | undefined
}

/** The resource and the insight in an overview: the fields of the spec stand beside the name, as in a resource. */
function splitOverview(kind: Kind, { base, insight }: OverviewKind, overview: JsonObject): Overview {
  const { [base]: spec, [insight]: seen, ...rest } = overview
  return { item: { ...rest, type: kind.name, ...Object(spec) }, insight: seen === undefined ? undefined : Object(seen) }
}

/** Like `listItems`, with the insights. */
export async function listOverviews(client: Client, kind: Kind, scope: Scope): Promise<Overview[]> {
  const entry = overviewOf(kind)
  if (!entry) return (await listItems(client, kind, scope)).map((item) => ({ item, insight: undefined }))
  const overviews = await pagesOf(client, listPath(kind, scope, '/_overview'))
  return overviews
    .map((one) => splitOverview(kind, entry, one))
    .filter(({ item }) => isSelected(kind, item, scope.selector))
}

/** One resource with its insight; undefined if it is absent. */
export async function findOverview(client: Client, kind: Kind, path: string): Promise<Overview | undefined> {
  const entry = overviewOf(kind)
  const reply = await client.call('GET', entry ? `${path}/_overview` : path)
  if (reply.status === 404) return undefined
  requireFields(client, reply, ['name'])
  const item: JsonObject = Object(reply.json)
  return entry ? splitOverview(kind, entry, item) : { item, insight: undefined }
}

/** The zones that a global reports as offline, for kinds whose state comes from zones. */
export async function offlineZones(client: Client, kind: Kind): Promise<ReadonlySet<string>> {
  const zone = findKind('Zone')
  if (!zone || kind.name === zone.name || !overviewOf(kind)) return new Set()
  const zones = await listOverviews(client, zone, { mesh: undefined, selector: new Map() })
  return new Set(
    zones.filter(({ insight }) => livenessOf(insight).state === 'offline').map(({ item }) => String(item['name'])),
  )
}
