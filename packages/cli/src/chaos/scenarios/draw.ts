import { createSeededRandom } from '@zonemesh/shared/env/random.ts'

/** Draws from a seed: the same seed gives the same numbers and places. */
export function createDraw(seed: number) {
  const random = createSeededRandom(seed)
  /** A whole number from `from` to `to`, both included. */
  const number = (from: number, to: number): number => from + Math.floor(random.fraction() * (to - from + 1))
  return {
    number,
    one<T>(of: readonly T[]): T {
      const found = of[number(0, of.length - 1)]
      if (found === undefined) throw new Error('invariant broken: drawn from an empty list')
      return found
    },
  }
}
export type Draw = ReturnType<typeof createDraw>
