import { statSync } from 'node:fs'
import { type Clock, repeat } from '../env/clock.ts'
import type { Log } from '../env/log.ts'
import { StoreUnavailableError } from './errors.ts'

const lookEveryMs = 1_000

export interface FileGuard extends Disposable {
  /** Why a write would be lost now; undefined if it would not. */
  fault(): string | undefined
  /** Throws StoreUnavailableError if the files are no longer the ones that were opened. */
  requireSame(): void
}

/**
 * SQLite keeps using its files after they were deleted or replaced, and those writes are lost when the process ends.
 * Therefore the files are compared with the opened ones before and after each transaction, and once a second. They are
 * valid again after they were moved back.
 */
export function createFileGuard(deps: { readonly clock: Clock; readonly log: Log }, path: string): FileGuard {
  const opened = new Map<string, string>()
  let fault: string | undefined

  function look(): string | undefined {
    for (const file of [path, `${path}-wal`]) {
      const found = identityOf(file)
      const known = opened.get(file)
      if (known === undefined && found !== undefined) opened.set(file, found)
      if (known !== undefined && found !== known) {
        const how = found === undefined ? 'was deleted' : 'was replaced by another file'
        return `cannot write store ${path}: ${file} ${how} while this plane has it open: move the same file back, or stop this plane, restore the store and start it again`
      }
    }
    return undefined
  }

  function refresh(): string | undefined {
    const found = look()
    if (found !== fault) {
      if (found === undefined) deps.log.info({ path }, 'the files of the store are back')
      else deps.log.error({ path }, found)
    }
    fault = found
    return fault
  }

  refresh()
  const looking = repeat(deps.clock, lookEveryMs, refresh)
  return {
    fault: () => fault,
    requireSame() {
      const found = refresh()
      if (found !== undefined) throw new StoreUnavailableError(found)
    },
    [Symbol.dispose]: () => looking[Symbol.dispose](),
  }
}

function identityOf(file: string): string | undefined {
  const found = statSync(file, { bigint: true, throwIfNoEntry: false })
  return found && `${found.dev}:${found.ino}`
}
