import type { TypeUrl } from '@zonemesh/core/emit/table.ts'
import type { Sources, StepName } from '@zonemesh/core/explain/sources.ts'
import type { Row } from '@zonemesh/shared/resource/resource.ts'

/** A fault, and how the explanation names it. */
export interface Fault {
  readonly name: string
  /** The working scene; absent: one mesh. */
  readonly scene?: () => Promise<Row[]>
  readonly plant?: (rows: Row[]) => void | Promise<void>
  /** Changes the data after proxies have accepted the configuration compiled from the rows. */
  readonly spoil?: (sources: Sources) => Sources
  readonly url?: string
  readonly from?: { readonly zone: string; readonly gateway: string }
  readonly step: StepName
  readonly problem: RegExp
  readonly remedy: RegExp
}

export const at = (rows: Row[], kind: string, name: string): number =>
  rows.findIndex(({ key }) => key.kind === kind && key.name === name)
/** Changes the spec of a row. */
export const edit = (kind: string, name: string, change: (spec: never) => void) => (rows: Row[]) => {
  const index = at(rows, kind, name)
  const one = rows[index]
  if (!one) throw new Error(`no ${kind} ${name}`)
  const spec = structuredClone(one.spec)
  change(spec as never) // each test knows the kind
  rows[index] = { ...one, spec }
}
export const remove = (kind: string, name: string) => (rows: Row[]) => void rows.splice(at(rows, kind, name), 1)
export const add = (like: string, name: string, key: Partial<Row['key']>, spec: Row['spec']) => (rows: Row[]) => {
  const one = rows[at(rows, like, name)]
  if (one) rows.push({ ...one, key: { ...one.key, ...key }, spec })
}
/** Gives one plane another version of a row, or removes the row there. */
export const onPlane =
  (plane: string, kind: string, name: string, change: (row: Row) => Row | undefined) =>
  (sources: Sources): Sources => {
    const changed = (sight: NonNullable<Sources['global']>) => ({
      ...sight,
      rows: sight.rows.flatMap((row) => (row.key.kind === kind && row.key.name === name ? (change(row) ?? []) : row)),
    })
    if (plane === 'global') return { ...sources, global: sources.global && changed(sources.global) }
    return {
      ...sources,
      zones: new Map([...sources.zones].map(([zone, sight]) => [zone, zone === plane ? changed(sight) : sight])),
    }
  }
export const newer = (row: Row): Row => ({
  ...row,
  stamp: { ...row.stamp, originRevision: row.stamp.originRevision + 2 },
})
/** An Envoy that does not run the configuration that its zone compiled. */
export const running =
  (proxy: string, type: string, change: (versions: Map<string, string>) => void, connected = true) =>
  (sources: Sources): Sources => {
    const sight = sources.proxies.get(proxy)
    if (!sight) throw new Error(`no ${proxy}`)
    const accepted = new Map([...sight.accepted].map(([url, versions]) => [url, new Map(versions)]))
    for (const [url, versions] of accepted) if (url === type) change(versions)
    return { ...sources, proxies: new Map(sources.proxies).set(proxy, { ...sight, accepted, connected }) }
  }
/** An Envoy that refuses the configuration that its zone compiled. */
export const refusing =
  (proxy: string, type: TypeUrl, name: string, detail: string) =>
  (sources: Sources): Sources => {
    const spoilt = running(proxy, type, (versions) => versions.delete(name))(sources)
    const sight = spoilt.proxies.get(proxy)
    if (!sight) throw new Error(`no ${proxy}`)
    const refused = new Map([[type, new Map([[name, detail]])]])
    return { ...spoilt, proxies: new Map(spoilt.proxies).set(proxy, { ...sight, refused }) }
  }
