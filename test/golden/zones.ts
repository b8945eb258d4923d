import { admit, refusalLines } from '@zonemesh/core/admit/admit.ts'
import { createCompiler } from '@zonemesh/core/compile/compiler.ts'
import { createAnnouncements } from '@zonemesh/core/edge/announcements.ts'
import { decoded } from '@zonemesh/core/emit/decode.ts'
import { typeUrls } from '@zonemesh/core/emit/table.ts'
import { zoneLabel } from '@zonemesh/core/kinds/common.ts'
import { proxyKinds } from '@zonemesh/core/kinds/proxies.ts'
import type { ProxyModel } from '@zonemesh/core/model/model.ts'
import { createAddressBook } from '@zonemesh/core/names/address-book.ts'
import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import { globalOrigin, type ResourceKey, type Row, type Stamp } from '@zonemesh/shared/resource/resource.ts'
import type { Change, Version } from '@zonemesh/shared/store/store.ts'

/** What one proxy has, as a golden file shows it: named parts are objects by name, so that a difference stays small. */
export interface Compiled {
  readonly model: Readonly<Record<string, unknown>>
  readonly envoy: Readonly<Record<string, unknown>>
  readonly secretNeeds: readonly unknown[]
  readonly problems: readonly unknown[]
}

/** The certificate of a secret cannot be sealed in the same way twice, so scenes contain the row that the global makes of it. */
const internalKinds: ReadonlySet<unknown> = new Set(['GatewayCertificate'])

/** What each of these proxies (key texts) has when the documents are stored: policies in the global, proxies in the zone of their label. */
export function compileScene(
  documents: readonly JsonObject[],
  proxies: readonly string[],
): Readonly<Record<string, Compiled>> {
  const rows = documents.map(rowOf)
  const zones = [...new Set(rows.map(({ key }) => key.origin))].filter((origin) => origin !== globalOrigin).sort()
  const derived = new Map(zones.map((zone) => [zone, derivedRows(zone, rows)]))
  const announcements = [...derived.values()].flat().filter(({ key }) => key.kind === 'AvailableService')
  return Object.fromEntries(
    proxies.map((proxy) => {
      const zone = proxy.slice(0, proxy.indexOf('/'))
      const own = (derived.get(zone) ?? []).filter(({ key }) => key.kind !== 'AvailableService')
      return [proxy, compileProxy(zone, [...rows, ...announcements, ...own], proxy)]
    }),
  )
}

const stampOf = (at: number): Stamp => ({ incarnation: 1, originRevision: at, createdAtMs: at, modifiedAtMs: at })

function rowOf(document: JsonObject, index: number): Row {
  const stamp = stampOf(index + 1)
  const { type, name, mesh } = document
  if (internalKinds.has(type)) {
    const { type: _type, name: _name, mesh: _mesh, ...spec } = document
    const key = { origin: globalOrigin, kind: String(type), mesh: String(mesh), name: String(name) }
    return { key, stamp, labels: {}, spec }
  }
  const read = admit(document)
  if (!read.ok) throw new Error(`${type} ${name} is refused: ${refusalLines(read.error).join('; ')}`)
  const { kind, labels, spec } = read.value
  const zone = labels[zoneLabel]
  if (proxyKinds.has(kind.name) && zone === undefined) throw new Error(`${type} ${name} has no label ${zoneLabel}`)
  const key: ResourceKey = {
    origin: proxyKinds.has(kind.name) ? String(zone) : globalOrigin,
    kind: kind.name,
    mesh: read.value.mesh,
    name: read.value.name,
  }
  return { key, stamp, labels, spec }
}

/** What the zone derives from the rows: announced services and virtual addresses. */
function derivedRows(zone: string, rows: readonly Row[]): readonly Row[] {
  const put = ({ key, stamp, labels, spec }: Row): Change => ({ op: 'put', key, stamp, labels, spec })
  const visible = rows.filter(({ key }) => key.origin === zone || key.origin === globalOrigin)
  const announced = createAnnouncements({ zone }).preview(visible.map(put))
  // The services of other zones get their names in this one too.
  const elsewhere = [...new Set(rows.map(({ key }) => key.origin))]
    .filter((origin) => origin !== zone && origin !== globalOrigin)
    .flatMap((other) => createAnnouncements({ zone: other }).preview(rows.map(put)))
  const addresses = createAddressBook({ zone }).preview([...visible.map(put), ...announced, ...elsewhere], {
    wallMs: 0,
    monotonicMs: 0,
    incarnation: 1,
  })
  return [...announced, ...addresses].flatMap((change, index) =>
    change.op === 'put'
      ? [{ key: change.key, stamp: stampOf(rows.length + index + 1), labels: {}, spec: change.spec }]
      : [],
  )
}

function compileProxy(zone: string, rows: readonly Row[], proxy: string): Compiled {
  const compiler = createCompiler({ zone })
  const revision = rows.length
  compiler.apply(
    rows.map((row): Version => ({ key: row.key, stamp: row.stamp, row, state: 'live', revision })),
    revision,
  )
  const facts = { part: 1, canBindPort80: true }
  const table = compiler.table(proxy, facts)
  const { model, problems } = compiler.look(proxy, facts)
  if (!table || !model) throw new Error(`${proxy} has no table: ${JSON.stringify(problems)}`)
  return {
    model: shownModel(model),
    envoy: {
      clusters: decoded(table, typeUrls.cluster),
      assignments: decoded(table, typeUrls.assignment),
      listeners: decoded(table, typeUrls.listener),
      routeTables: decoded(table, typeUrls.route),
      runtime: decoded(table, typeUrls.runtime),
    },
    secretNeeds: table.secretNeeds,
    problems: table.problems,
  }
}

function shownModel(model: ProxyModel): Readonly<Record<string, unknown>> {
  return {
    ...model,
    clusters: byName(model.clusters, ({ name }) => name),
    assignments: byName(model.assignments, ({ cluster }) => cluster),
    listeners: byName(model.listeners, ({ name }) => name),
    routeTables: byName(model.routeTables, ({ name }) => name),
  }
}

function byName<T>(parts: readonly T[], nameOf: (part: T) => string): Readonly<Record<string, T>> {
  const named = Object.fromEntries(parts.map((part) => [nameOf(part), part]))
  if (Object.keys(named).length !== parts.length) throw new Error('two parts of a model have the same name')
  return named
}
