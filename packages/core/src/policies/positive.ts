import type { Violation } from '../kinds/kind.ts'

/** A violation if the value is 0. */
export const checkPositive = (field: string, value: number | undefined): Violation[] =>
  value === 0 ? [{ field, reason: 'has to be greater than 0' }] : []

/** A violation if an optional field is 0. */
export const checkPositiveIfGiven = (field: string, value: number | undefined): Violation[] =>
  value === 0 ? [{ field, reason: 'has to be greater than 0 when defined' }] : []
