import { keyText, type Row } from '@zonemesh/shared/resource/resource.ts'
import type { Version } from '@zonemesh/shared/store/store.ts'
import { createCompiler } from '../compile/compiler.ts'
import type { ProxyModel, RouteModel } from '../compile/model.ts'
import type { ProxyTable } from '../emit/table.ts'
import type { RouteSource } from '../gateway/routes.ts'
import type { Problem } from '../view/units.ts'
import type { PlaneSight, Sources } from './sources.ts'

/** What a zone makes of its rows, with the very compiler that it runs. */
export interface CompiledZone {
  readonly name: string
  /** Rows of a kind as the zone has them, of all origins. */
  rows(kind: string): readonly Row[]
  /** The rule of a MeshGatewayRoute that a route comes from. */
  sourceOf(route: RouteModel): RouteSource | undefined
  look(proxy: Row): CompiledProxy
}

/** What a zone makes for one proxy. */
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
  for (const row of sight.rows) {
    // The zone writes these rows itself.
    const { source, hash, rowVersion } = row.spec as { source?: string; hash?: string; rowVersion?: string }
    if (row.key.kind === 'Refusal') compiler.exclude(source ?? '', hash ?? '')
    if (row.key.kind === 'Quarantine') compiler.hold(source ?? '', rowVersion ?? '')
  }
  return {
    name: sight.name,
    rows: (kind) => sight.rows.filter((row) => row.key.kind === kind),
    sourceOf: compiler.sourceOf,
    look(proxy) {
      const text = keyText(proxy.key)
      const facts = sources.proxies.get(text)?.facts ?? { part: 0, canBindPort80: true }
      const table = compiler.table(text, facts)
      return { ...compiler.look(text, facts), proxy: text, table }
    },
  }
}
