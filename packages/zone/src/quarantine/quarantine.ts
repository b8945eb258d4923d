import { type Compiler, type HeldRow, rowVersion } from '@zonemesh/core/compile/compiler.ts'
import { type QuarantineSpec, quarantine } from '@zonemesh/core/kinds/internal.ts'
import { specOf } from '@zonemesh/core/kinds/row.ts'
import { messageOf, shortHash } from '@zonemesh/shared/base/base.ts'
import type { Clock } from '@zonemesh/shared/env/clock.ts'
import type { Log } from '@zonemesh/shared/env/log.ts'
import { keyText, parseKeyText } from '@zonemesh/shared/resource/resource.ts'
import type { Change, Store, Version } from '@zonemesh/shared/store/store.ts'

interface Deps {
  readonly store: Store
  readonly zone: string
  /** The version of this software: another version judges all rows again. */
  readonly software: string
  readonly compiler: Pick<Compiler, 'hold'>
  readonly clock: Clock
  readonly log: Log
  /** A row was quarantined, or a quarantine ended. */
  readonly changed: () => void
}

const changesMax = 1000

/**
 * Rows that this zone does not compile, because they cannot be parsed or because they made the compiler fail. They are
 * kept in the store, so that a restarted zone leaves them out before it compiles anything. The compiler holds back one
 * version of a row. When the row is written again, its quarantine ends.
 */
export function createQuarantine(deps: Deps) {
  const specBySource = new Map<string, QuarantineSpec>()

  const rowKey = (source: string) => ({
    origin: deps.zone,
    kind: 'Quarantine',
    mesh: parseKeyText(source).mesh,
    name: shortHash(source),
  })

  async function store(changes: readonly Change[], intent: string): Promise<void> {
    try {
      for (let at = 0; at < changes.length; at += changesMax) {
        const part = changes.slice(at, at + changesMax)
        await deps.store.commit({ changes: part, subject: 'mesh-system:control-plane', intent })
      }
    } catch (cause) {
      deps.log.error(
        { reason: messageOf(cause) },
        'cannot store the quarantined rows: a restarted zone would compile them again',
      )
    }
  }

  async function isInForce({ source, rowVersion: version, software }: QuarantineSpec): Promise<boolean> {
    if (software !== deps.software) return false
    const row = (await deps.store.get(parseKeyText(source)))?.row
    return row !== undefined && rowVersion(row.stamp) === version
  }

  return {
    /** Holds back the rows in the store's quarantine. Called once, before anything is compiled. */
    async load(): Promise<void> {
      const ended: Change[] = []
      for (const row of await deps.store.scan({ kind: 'Quarantine', origin: deps.zone })) {
        const { key } = row
        const found = specOf(quarantine, row)
        if (found && (await isInForce(found))) {
          specBySource.set(found.source, found)
          deps.compiler.hold(found.source, found.rowVersion)
        } else ended.push({ op: 'delete', key })
      }
      await store(ended, 'judge the rows again')
    },
    /** The compiler has held back these rows. */
    keep(rows: readonly HeldRow[]): void {
      const changes: Change[] = []
      for (const { row, reason } of rows) {
        const source = keyText(row.key)
        const version = rowVersion(row.stamp)
        if (specBySource.get(source)?.rowVersion === version) continue
        const spec = { source, rowVersion: version, reason, atMs: deps.clock.wallMs(), software: deps.software }
        specBySource.set(source, spec)
        changes.push({ op: 'put', key: rowKey(source), labels: {}, spec })
        deps.log.warn({ source, version }, `the row is quarantined until it is written again: ${reason}`)
      }
      if (changes.length === 0) return
      void store(changes, 'quarantine rows')
      deps.changed()
    },
    /** Rows were written: the quarantine of their other versions ends. */
    marked(versions: readonly Version[]): void {
      const ended: Change[] = []
      for (const { key, row } of versions) {
        const source = keyText(key)
        const spec = specBySource.get(source)
        if (!spec || (row && rowVersion(row.stamp) === spec.rowVersion)) continue
        specBySource.delete(source)
        ended.push({ op: 'delete', key: rowKey(source) })
      }
      if (ended.length === 0) return
      void store(ended, 'end the quarantine of rows that were written again')
      deps.changed()
    },
    count: (): number => specBySource.size,
    /** All quarantined rows, in the order of their keys. */
    verdicts: (): readonly QuarantineSpec[] =>
      [...specBySource.values()].sort((a, b) => (a.source < b.source ? -1 : 1)),
  }
}
export type Quarantine = ReturnType<typeof createQuarantine>
