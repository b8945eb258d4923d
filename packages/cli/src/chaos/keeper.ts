import { copyFileSync, existsSync, mkdtempSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Order, Role, Sight } from './control.ts'

/** Holds, ends and starts the planes of a stack, whatever they run in. */
export interface Keeper {
  roles(): Promise<readonly Role[]>
  /** It neither answers nor ends, and its connections stay. */
  hold(role: string): Promise<unknown>
  letGo(role: string): Promise<unknown>
  /** Ends it and keeps it ended; resolves when it is gone. */
  end(role: string, signal: 'SIGKILL' | 'SIGTERM'): Promise<unknown>
  /** Starts it again as it was, with these variables on top. */
  start(role: string, environment?: Readonly<Record<string, string>>): Promise<unknown>
  /** Copies of the database file of a plane; called while the plane is ended. */
  store(role: string, file: string): StoreCopy
}

export interface StoreCopy {
  keep(): Promise<void>
  putBack(): Promise<void>
  forget(): Promise<void>
}

/** Planes that are children of the control, on this machine. */
export function createChildren(give: (order: Order) => Promise<Sight>): Keeper {
  return {
    roles: async () => (await give({ do: 'look' })).roles,
    hold: (role) => give({ do: 'signal', role, signal: 'SIGSTOP' }),
    letGo: (role) => give({ do: 'signal', role, signal: 'SIGCONT' }),
    end: (role, signal) => give({ do: 'end', role, signal }),
    start: (role, environment = {}) => give({ do: 'start', role, environment: { ...environment } }),
    store(_role, file) {
      const folder = mkdtempSync(join(dirname(file), 'aside-'))
      const copy = join(folder, 'store.db')
      return {
        keep: async () => copyDatabase(file, copy),
        putBack: async () => copyDatabase(copy, file),
        forget: async () => rmSync(folder, { recursive: true, force: true }),
      }
    },
  }
}

function copyDatabase(from: string, to: string): void {
  for (const end of ['', '-wal', '-shm']) {
    rmSync(to + end, { force: true })
    if (existsSync(from + end)) copyFileSync(from + end, to + end)
  }
}
