import { inlineLabel, withoutInlineKeys } from '@zonemesh/core/kinds/inline-keys.ts'
import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import type { Change, Store } from '@zonemesh/shared/store/store.ts'
import type { Sealer } from './seal.ts'

interface Deps {
  readonly store: Store
  readonly sealer: Sealer
  readonly origin: string
}

/**
 * Moves the inline keys of a spec into secrets. Returns the spec, and the changes for secrets that do not exist yet.
 */
export async function moveInlineKeys(
  { store, sealer, origin }: Deps,
  kind: string,
  mesh: string,
  given: JsonObject,
): Promise<{ readonly spec: JsonObject; readonly secrets: readonly Change[] }> {
  const { spec, secrets } = withoutInlineKeys(kind, mesh, given)
  const changes: Change[] = []
  for (const [name, text] of secrets) {
    const key = { origin, kind: 'Secret', mesh, name }
    if ((await store.get(key))?.row) continue
    const sealed = sealer.seal(Buffer.from(text).toString('base64'))
    changes.push({ op: 'put', key, labels: { [inlineLabel]: 'yes' }, spec: { sealed } })
  }
  return { spec, secrets: changes }
}

/**
 * Writes the rows of an older version, which did not seal inline keys, again without these keys. Their former
 * versions are in the history until the horizon passes them.
 */
export async function sealStoredInlineKeys(deps: Deps): Promise<void> {
  for (const kind of ['Mesh', 'MeshGateway']) {
    for (const row of await deps.store.scan({ kind, origin: deps.origin })) {
      const mesh = kind === 'Mesh' ? row.key.name : row.key.mesh
      const { spec, secrets } = await moveInlineKeys(deps, kind, mesh, row.spec)
      if (spec === row.spec) continue
      await deps.store.commit({
        changes: [...secrets, { op: 'put', key: row.key, labels: row.labels, spec }],
        subject: 'mesh-system:control-plane',
        intent: `seal the inline keys of ${kind} ${row.key.name}`,
      })
    }
  }
}
