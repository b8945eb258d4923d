import { copyFileSync, existsSync, mkdtempSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { CommandError } from '../base/command.ts'
import type { Order, Role, StackState } from './control.ts'

/** Pauses, stops and starts the planes of a stack, whether processes or containers. */
export interface Keeper {
  roles(): Promise<readonly Role[]>
  /** Pauses a plane: it does not answer or exit, and its connections stay open. */
  pause(role: string): Promise<unknown>
  resume(role: string): Promise<unknown>
  /** Stops a plane and does not restart it. Resolves when it has exited. */
  end(role: string, signal: 'SIGKILL' | 'SIGTERM'): Promise<unknown>
  /** Starts the plane again with the same command and these additional variables. */
  start(role: string, environment?: Readonly<Record<string, string>>): Promise<unknown>
  /** Takes a role off all its networks. Its process stays. */
  disconnect(role: string): Promise<unknown>
  connect(role: string): Promise<unknown>
  /** Whether a role answers what is sent to its port. */
  probe(role: string, port: number, greeting: string): Promise<boolean>
  /** Moves the wall clock of a running plane by this much, or back by 0. */
  shiftClock(role: string, byMs: number): Promise<unknown>
  /** The wall clock of a plane, as a header of its API shows it. */
  clockOf(role: string): Promise<number>
  /** The number of keys of a Redis. */
  keys(role: string): Promise<number>
  /** Removes all keys of a Redis. */
  flush(role: string): Promise<unknown>
  /** Copies the database file of a plane. Use it only while the plane is stopped. */
  store(role: string, file: string): StoreCopy
}

export interface StoreCopy {
  keep(): Promise<void>
  putBack(): Promise<void>
  forget(): Promise<void>
}

const refuse = (): Promise<never> =>
  Promise.reject(
    new CommandError('expected a stack of containers, found one of processes, which share their network', 2),
  )

/** Planes that are child processes of the control, on this machine. */
export function createChildren(send: (order: Order) => Promise<StackState>): Keeper {
  return {
    roles: async () => (await send({ do: 'state' })).roles,
    pause: (role) => send({ do: 'signal', role, signal: 'SIGSTOP' }),
    resume: (role) => send({ do: 'signal', role, signal: 'SIGCONT' }),
    end: (role, signal) => send({ do: 'end', role, signal }),
    start: (role, environment = {}) => send({ do: 'start', role, environment: { ...environment } }),
    disconnect: refuse,
    connect: refuse,
    probe: refuse,
    shiftClock: refuse,
    clockOf: refuse,
    keys: refuse,
    flush: refuse,
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
