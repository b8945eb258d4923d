import type { ProxyTable } from '@zonemesh/core/emit/table.ts'
import { findKind } from '@zonemesh/core/registry.ts'
import { byCodeUnit } from '@zonemesh/shared/base/base.ts'
import { parseKeyText } from '@zonemesh/shared/resource/resource.ts'

/** A row with a part that the compiler leaves out, and the reason. */
export interface LeftOut {
  /** The key text of the row at fault. */
  readonly source: string
  readonly reason: string
}

/** Limit: every bookmark carries the whole report. The zone's status lists the rest, per proxy. */
const leftOutMax = 100
const reasonCharactersMax = 300

/** Lists what the tables of proxies lack, each once. A problem without a row is attributed to the proxy's own row. */
export function leftOutOf(
  tables: Iterable<readonly [proxy: string, problems: ProxyTable['problems']]>,
): readonly LeftOut[] {
  const found = new Map<string, LeftOut>()
  // Proxies of one role share their lists.
  const seen = new Set<ProxyTable['problems']>()
  for (const [proxy, problems] of tables) {
    if (seen.has(problems)) continue
    seen.add(problems)
    for (const { source, reason, isNote } of problems) {
      if (isNote) continue
      const { kind, mesh, name } = parseKeyText(source)
      const isRow = findKind(kind) !== undefined
      // The source of a part is the row's key text, a slash and the part.
      const row = isRow ? `${source.split('/')[0]}/${kind}/${mesh}/${name}` : proxy
      const text = isRow ? reason : `${source}: ${reason}`
      const shown = text.length <= reasonCharactersMax ? text : `${text.slice(0, reasonCharactersMax)}…`
      found.set(`${row} ${shown}`, { source: row, reason: shown })
    }
  }
  return [...found]
    .sort(([a], [b]) => byCodeUnit(a, b))
    .slice(0, leftOutMax)
    .map(([, leftOut]) => leftOut)
}
