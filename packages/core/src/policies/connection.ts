import { checkSelectors, selectorList } from '../kinds/common.ts'
import type { Violation } from '../kinds/kind.ts'

/** What all source/destination policies share. */
export const connectionShape = { sources: selectorList.default([]), destinations: selectorList.default([]) }

type Selectable = {
  readonly sources: Parameters<typeof checkSelectors>[1]
  readonly destinations: Parameters<typeof checkSelectors>[1]
}

export const checkConnection = (spec: Selectable): Violation[] => [
  ...checkSelectors('sources', spec.sources, true),
  ...checkSelectors('destinations', spec.destinations, true),
]

export const connectionPolicy = {
  scope: 'mesh',
  travel: 'global-to-zones',
  writable: { global: true, zone: false },
  isPolicy: true,
} as const
