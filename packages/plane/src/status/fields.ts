import { parseSpec, reasonOf } from '@zonemesh/core/kinds/row.ts'
import { kinds } from '@zonemesh/core/registry.ts'
import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import { keyText, type Stamp } from '@zonemesh/shared/resource/resource.ts'
import type { Store } from '@zonemesh/shared/store/store.ts'

/** What people have to know of stored rows. */
export interface FieldReport {
  /** Fields of resources that are stored but not served yet, one sentence each. */
  readonly unserved: readonly JsonObject[]
  /** Rows that cannot be parsed, so that nothing is served of them. At most 1,000; `unparsedTotal` counts all. */
  readonly unparsed: readonly JsonObject[]
  readonly unparsedTotal: number
}

interface Found {
  readonly stamp: Stamp
  readonly warnings: readonly string[]
  readonly fault: string | undefined
}

const unparsedMax = 1_000

/** Reads all rows that people may see. Each version of a row is parsed once, however often somebody asks. */
export function createFieldReport(store: Pick<Store, 'scan'>): () => Promise<FieldReport> {
  let known: ReadonlyMap<string, Found> = new Map()
  return async () => {
    const next = new Map<string, Found>()
    const unserved: JsonObject[] = []
    const unparsed: JsonObject[] = []
    let unparsedTotal = 0
    for (const kind of kinds.filter(({ adminOnly }) => !adminOnly)) {
      for (const { key, stamp, spec } of await store.scan({ kind: kind.name })) {
        const text = keyText(key)
        const former = known.get(text)
        const isSame =
          former?.stamp.incarnation === stamp.incarnation && former.stamp.originRevision === stamp.originRevision
        const parsed = isSame ? undefined : parseSpec(kind, { key, spec })
        const found: Found =
          isSame && former
            ? former
            : {
                stamp,
                // The spec was parsed by this very kind.
                warnings: parsed?.ok ? kind.unserved(parsed.value as never) : [],
                fault: parsed && !parsed.ok ? reasonOf(parsed.error) : undefined,
              }
        next.set(text, found)
        const row = { kind: kind.name, mesh: key.mesh, name: key.name, origin: key.origin }
        unserved.push(...found.warnings.map((warning) => ({ ...row, warning })))
        if (found.fault === undefined) continue
        unparsedTotal += 1
        if (unparsed.length < unparsedMax) unparsed.push({ ...row, reason: found.fault })
      }
    }
    known = next
    return { unserved, unparsed, unparsedTotal }
  }
}
