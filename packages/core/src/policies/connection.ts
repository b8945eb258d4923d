import { connectionColumns } from '../kinds/columns.ts'
import { checkSelectors, selectorList } from '../kinds/common.ts'
import type { Violation } from '../kinds/kind.ts'

/** The fields that all source/destination policies share. */
export const connectionShape = { sources: selectorList.default([]), destinations: selectorList.default([]) }

type Selectable = {
  readonly sources: Parameters<typeof checkSelectors>[1]
  readonly destinations: Parameters<typeof checkSelectors>[1]
}

/** Checks policies for traffic to a service: their destinations name only services. */
export const checkOutbound = (spec: Selectable): Violation[] => [
  ...checkSelectors('sources', spec.sources, { requireAny: true, requireService: true }),
  ...checkSelectors('destinations', spec.destinations, { requireService: true, onlyService: true }),
]

/** Checks policies for traffic to an inbound: any tags on both sides. */
export const checkInbound = (spec: Selectable): Violation[] => [
  ...checkSelectors('sources', spec.sources, { requireAny: true, requireService: false }),
  ...checkSelectors('destinations', spec.destinations, { requireAny: true, requireService: false }),
]

export const connectionPolicy = {
  scope: 'mesh',
  travel: 'global-to-zones',
  writable: { global: true, zone: false },
  isPolicy: true,
  columns: connectionColumns,
} as const
