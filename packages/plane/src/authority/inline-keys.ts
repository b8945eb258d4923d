import { inlineLabel, withoutInlineKeys } from '@zonemesh/core/kinds/inline-keys.ts'
import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import type { Change, Store } from '@zonemesh/shared/store/store.ts'
import type { Sealer } from './seal.ts'

interface Deps {
  readonly store: Store
  readonly sealer: Sealer
  readonly origin: string
}

/** A spec whose inline keys were moved into secrets, and the changes that make those secrets that are not there yet. */
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

/** Rows of a plane that did not seal inline keys: each is written again without them. What its history holds ends with its horizon. */
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
