/** After so many tries what is left is taken for guilty: a search must not keep the zone from all others. */
const triesMax = 64

/**
 * Finds out of many suspects the few without which something works: first the shortest head of the list, then, by halves,
 * what is needed of it. Those at the head are preferred, so the likely ones stand there. None if leaving out all of
 * them does not help.
 */
export function findCulprits(
  suspects: readonly string[],
  worksWithout: (left: readonly string[]) => boolean,
): readonly string[] {
  let tries = 0
  const works = (left: readonly string[]) => {
    tries += 1
    return worksWithout(left)
  }

  /** What of `open` must be left out beside `out`. `isNew`: `out` was not tried yet. */
  function needed(out: readonly string[], isNew: boolean, open: readonly string[]): readonly string[] {
    if (isNew && works(out)) return []
    if (open.length <= 1 || tries >= triesMax) return open
    const middle = Math.ceil(open.length / 2)
    const [likely, unlikely] = [open.slice(0, middle), open.slice(middle)]
    const second = needed([...out, ...likely], true, unlikely)
    const first = needed([...out, ...second], second.length > 0, likely)
    return [...first, ...second]
  }

  for (let size = 1; suspects.length > 0; size *= 2) {
    const head = suspects.slice(0, size)
    if (works(head)) return needed([], false, head)
    if (size >= suspects.length) break
  }
  return []
}
