import { openHints } from './postgres-hints.ts'
import type { OpenPostgres } from './postgres-open.ts'
import type { Position } from './store.ts'

export interface Marks {
  /** Notifies the other processes if the mark of a commit is newer than every known mark, and returns whether it is. */
  announce(mark: Position): boolean
  close(): Promise<void>
}

/**
 * Follows the newest mark of all processes that share the store. Calls `wake` if another process has made a newer one.
 * The listeners of a commit of this process are woken by its commit group.
 */
export async function openMarks({ deps, place, readHead }: OpenPostgres, wake: () => void): Promise<Marks> {
  let newestRevision = 0

  function isNews(mark: Position): boolean {
    if (mark.revision <= newestRevision) return false
    newestRevision = mark.revision
    return true
  }

  /** `anyway`: also wakes if there is no newer mark, because a listener's last read may have failed. */
  async function lookForMark(anyway: boolean): Promise<void> {
    try {
      const { mark } = await readHead()
      if (isNews(mark) || anyway) wake()
    } catch (cause) {
      deps.log.warn({ store: place.text, err: cause }, 'cannot read the newest mark; trying again at the next poll')
    }
  }

  const hints = await openHints(deps, place, (what) => void lookForMark(what === 'lost'))
  try {
    newestRevision = (await readHead()).mark.revision
  } catch (cause) {
    await hints.close()
    throw cause
  }
  return {
    announce(mark) {
      const isNew = isNews(mark)
      if (isNew) hints.notify()
      return isNew
    },
    close: hints.close,
  }
}
