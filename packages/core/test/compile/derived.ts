import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import type { ResourceKey } from '@zonemesh/shared/resource/resource.ts'
import { keyText, type Row } from '@zonemesh/shared/resource/resource.ts'
import type { Change, Version } from '@zonemesh/shared/store/store.ts'

/** Rows with checked expectations, as in the store: just enough to test rows derived from changes. */
export function createRows() {
  const rows = new Map<string, Row>()
  let revision = 0
  return {
    rows,
    /** Throws when an expectation does not hold. */
    commit(changes: readonly Change[]): readonly Version[] {
      for (const change of changes) {
        const expected = change.op === 'forget' ? undefined : change.expect
        if (!expected) continue
        const found = rows.has(keyText(change.key))
        if ('absent' in expected && found) throw new Error(`${keyText(change.key)} is there`)
        if ('present' in expected && !found) throw new Error(`${keyText(change.key)} is not there`)
      }
      const keys = changes.map((change) => keyText(change.key))
      if (new Set(keys).size !== keys.length) throw new Error('one key twice in a commit')
      revision += 1
      const stamp = { incarnation: 1, originRevision: revision, createdAtMs: 0, modifiedAtMs: 0 }
      return changes.map((change): Version => {
        if (change.op !== 'put') {
          rows.delete(keyText(change.key))
          return { key: change.key, revision, state: 'deleted', stamp }
        }
        const row = { key: change.key, stamp, labels: change.labels, spec: change.spec }
        rows.set(keyText(change.key), row)
        return { key: change.key, revision, state: 'live', stamp, row }
      })
    },
    /** All rows, as the plane reads them at start. */
    versions: (): readonly Version[] =>
      [...rows.values()].map((row) => ({ key: row.key, revision, state: 'live', stamp: row.stamp, row })),
    ofKind: (kind: string): readonly Row[] => [...rows.values()].filter((row) => row.key.kind === kind),
  }
}

export const put = (key: ResourceKey, spec: unknown): Change => ({
  op: 'put',
  key,
  labels: {},
  // A test may write a spec that admission would refuse.
  spec: spec as JsonObject,
})
export const remove = (key: ResourceKey): Change => ({ op: 'delete', key })
