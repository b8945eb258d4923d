import { createListeners } from '../base/listeners.ts'
import { openHints } from './postgres-hints.ts'
import type { OpenPostgres } from './postgres-open.ts'
import type { Position } from './store.ts'
import type { Topic, Wakeups } from './wakeups.ts'

export interface Marks extends Wakeups {
  /** Notifies the other processes if the mark of a commit is newer than every known mark, and returns whether it is. */
  announce(mark: Position): boolean
  close(): Promise<void>
}

/**
 * Follows the newest mark of all processes that share the store. Calls `wake` if another process has made a newer one.
 * The listeners of a commit of this process are woken by its commit group. `others` is a second way for wake-ups, which
 * may be faster; both are used.
 */
export async function openMarks(
  { deps, place, readHead }: OpenPostgres,
  wake: () => void,
  others: Wakeups | undefined,
): Promise<Marks> {
  const listeners = createListeners<Topic>()
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

  function woken(what: Topic | 'lost'): void {
    listeners.call(what === 'notes' ? 'notes' : 'mark')
    if (what !== 'notes') void lookForMark(what === 'lost')
  }

  function wakeOthers(topic: Topic): void {
    hints.notify(topic)
    others?.wake(topic)
  }

  const hints = await openHints(deps, place, woken)
  const listening = others?.onWake(woken)
  try {
    newestRevision = (await readHead()).mark.revision
  } catch (cause) {
    await hints.close()
    throw cause
  }
  return {
    announce(mark) {
      const isNew = isNews(mark)
      if (isNew) wakeOthers('mark')
      return isNew
    },
    wake: wakeOthers,
    onWake: listeners.add,
    async close() {
      listening?.[Symbol.dispose]()
      listeners.clear()
      await hints.close()
    },
  }
}
