/** After this many tries the search stops and blames all remaining suspects: it must not block the zone for long. */
const triesMax = 64

/**
 * Finds the few suspects without which something works. First it finds the shortest prefix of the list that helps, then
 * it bisects that prefix. Earlier suspects are preferred, so the list must be sorted by likelihood. Returns an empty
 * list if leaving out all suspects does not help.
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

  /** The members of `open` that must be left out in addition to `out`. `isNew`: `out` was not tried yet. */
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
