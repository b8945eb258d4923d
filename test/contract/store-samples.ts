import { keyText, type ResourceKey } from '@zonemesh/shared/resource/resource.ts'
import type { Store, Version } from '@zonemesh/shared/store/store.ts'

export const keyOf = (name: string, origin = 'global'): ResourceKey => ({
  origin,
  kind: 'Thing',
  mesh: 'default',
  name,
})

export const put = (name: string, value: number, origin?: string) => ({
  op: 'put' as const,
  key: keyOf(name, origin),
  labels: {},
  spec: { value },
})

export const deleted = (name: string, origin?: string) => ({ op: 'delete' as const, key: keyOf(name, origin) })

/** The state by key text of a reader that applies the changes of (after, through], page by page, to `state`. */
export async function folded(
  store: Store,
  after: number,
  through: number,
  limit: number,
  state = new Map<string, unknown>(),
): Promise<Map<string, unknown>> {
  let resume: string | undefined
  do {
    const page: { readonly versions: readonly Version[]; readonly next?: string } = await store.changesSince(
      after,
      through,
      {
        limit,
        ...(resume === undefined ? {} : { resume }),
      },
    )
    for (const version of page.versions) {
      if (version.row) state.set(keyText(version.key), version.row.spec)
      else state.delete(keyText(version.key))
    }
    resume = page.next
  } while (resume !== undefined)
  return state
}

/** The state built from nothing at a revision. */
export async function rowsAt(store: Store, at: number): Promise<Map<string, unknown>> {
  return new Map((await store.scan({}, { at })).map((row) => [keyText(row.key), row.spec]))
}
