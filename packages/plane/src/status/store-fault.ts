import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import type { Store } from '@zonemesh/shared/store/store.ts'

/** The field of a status that states why the store takes no writes. */
export function storeFault(store: Pick<Store, 'fault'>): JsonObject {
  const fault = store.fault()
  return fault === undefined ? {} : { storeFault: fault }
}
