import { keyText, type Row } from '@zonemesh/shared/resource/resource.ts'
import type { Version } from '@zonemesh/shared/store/store.ts'
import { createCompiler } from '../compile/compiler.ts'
import type { ProxyTable } from '../emit/table.ts'
import type { Because } from '../kinds/because.ts'
import { quarantine, refusal } from '../kinds/internal.ts'
import type { AnyRow, TypedRow } from '../kinds/kind.ts'
import { type AnyKind, reasonOf, type SpecOf } from '../kinds/row.ts'
import type { ProxyModel } from '../model/model.ts'
import { parseRow } from '../parse.ts'
import type { Problem } from '../view/problem.ts'
import type { PlaneSight, Sources } from './sources.ts'

/** The result of compiling a zone's rows with the same compiler that the zone runs. */
export interface CompiledZone {
  readonly name: string
  /** The zone's rows of a kind, of all origins, except rows that cannot be parsed. */
  rows<K extends AnyKind>(kind: K): readonly TypedRow<SpecOf<K>>[]
  /** Rows that cannot be parsed, with the reasons. */
  readonly unparsed: readonly { readonly row: Row; readonly reason: string }[]
  /** All rows of the zone. */
  readonly versions: readonly Version[]
  /** The rows that decided a part of a model. */
  rowsOf(because: Because): readonly AnyRow[]
  /** The rows of one kind among them. */
  rowsOf<K extends AnyKind>(because: Because, kind: K): readonly TypedRow<SpecOf<K>>[]
  look(proxy: AnyRow): CompiledProxy
}

/** The configuration that a zone compiles for one proxy. */
export interface CompiledProxy {
  /** The key text of its row. */
  readonly proxy: string
  readonly model: ProxyModel | undefined
  readonly problems: readonly Problem[]
  readonly table: ProxyTable | undefined
}

export function compileZone(sight: PlaneSight, sources: Sources): CompiledZone {
  const compiler = createCompiler({ zone: sight.name })
  const versions = sight.rows.map(
    (row): Version => ({ key: row.key, stamp: row.stamp, row, state: 'live', revision: sight.revision }),
  )
  compiler.apply(versions, sight.revision)
  const parsed: AnyRow[] = []
  const unparsed: { readonly row: Row; readonly reason: string }[] = []
  for (const row of sight.rows) {
    const found = parseRow(row)
    if (found.ok) parsed.push(found.value)
    else unparsed.push({ row, reason: reasonOf(found.error) })
  }
  // Rows are parsed by the kind that their key names, and that is this kind.
  const rows = <K extends AnyKind>(kind: K) =>
    parsed.filter((row) => row.key.kind === kind.name) as readonly TypedRow<SpecOf<K>>[]
  const byKey = new Map(parsed.map((row) => [keyText(row.key), row]))
  for (const { spec } of rows(refusal)) compiler.exclude(spec.source, spec.hash)
  for (const { spec } of rows(quarantine)) compiler.hold(spec.source, spec.rowVersion)
  return {
    name: sight.name,
    rows,
    unparsed,
    versions,
    rowsOf: <K extends AnyKind>(because: Because, kind?: K) =>
      because.flatMap((key) => {
        const row = byKey.get(key)
        // With `kind`, the row was parsed by this kind. Without it, K is AnyKind.
        return row && (kind === undefined || row.key.kind === kind.name) ? [row as TypedRow<SpecOf<K>>] : []
      }),
    look(proxy) {
      const text = keyText(proxy.key)
      const facts = sources.proxies.get(text)?.facts ?? { part: 0, canBindPort80: true }
      const table = compiler.table(text, facts)
      return { ...compiler.look(text, facts), proxy: text, table }
    },
  }
}
