import type { Fault } from './faults.ts'

/**
 * The smallest part of a list of faults that still fails, within a number of tries: it leaves out halves, then quarters
 * and so on, then single faults.
 */
export async function shrink(
  faults: readonly Fault[],
  fails: (faults: readonly Fault[]) => Promise<boolean>,
  triesMax = 60,
): Promise<readonly Fault[]> {
  let kept = faults
  let tries = 0
  for (let size = Math.ceil(kept.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let from = 0; from < kept.length && tries < triesMax; ) {
      const without = [...kept.slice(0, from), ...kept.slice(from + size)]
      tries += 1
      if (await fails(without)) kept = without
      else from += size
    }
  }
  return kept
}
