import { StoreUnavailableError } from '@zonemesh/shared/store/errors.ts'
import { createMemoryContents, createMemoryStore, type MemoryContents } from '@zonemesh/shared/store/memory.ts'
import type { Commit, CommitOutcome, Position, RoundOptions, Store, Version } from '@zonemesh/shared/store/store.ts'
import type { Sabotage } from './sabotage.ts'
import type { Process, World } from './world.ts'

/** The content of a round of any writer; `revision` is that of its last part. */
export interface Written {
  readonly store: string
  readonly revision: number
  readonly subject: string
  readonly isMark: boolean
  readonly versions: readonly Version[]
}

/** The data that outlives a process. */
export interface Disk {
  contents: MemoryContents
  /** The number of times that its contents were replaced. */
  life: number
  backup: MemoryContents | undefined
  /** The process dies before or after its next write. */
  crash: 'before' | 'after' | undefined
  /** Writes and reads fail for a while. */
  isDown: boolean
  /** The share of writes that fail; the first one is reported. */
  failing: { readonly share: number; readonly onFailure: () => void } | undefined
  readonly others: Set<{ readonly process: Process; readonly wake: () => void }>
}

export function createDisk(world: World, process: Pick<Process, 'clock'>): Disk {
  const deps = { clock: process.clock, random: world.random }
  const contents = createMemoryContents(deps)
  return {
    contents,
    life: 0,
    backup: undefined,
    crash: undefined,
    isDown: false,
    failing: undefined,
    others: new Set(),
  }
}

/** A copy that is independent from here on. Rows are immutable and shared. */
export const copyOf = (contents: MemoryContents): MemoryContents => ({
  ...contents,
  versionsByKey: new Map([...contents.versionsByKey].map(([key, versions]) => [key, [...versions]])),
  sortedKeys: undefined,
  log: [...contents.log],
  records: [...contents.records],
  notes: new Map(contents.notes),
})

interface Waiting {
  readonly parts: readonly Commit[]
  readonly options: RoundOptions | undefined
  readonly resolve: (outcome: CommitOutcome) => void
  readonly reject: (cause: unknown) => void
}

const never = new Promise<never>(() => {})

/**
 * The memory store as seen by a process that can die: writes take time, and the process may die during one. Several
 * processes may share a disk: each is notified of the commits of others a little later, or not at all.
 */
export function openDisk(
  world: World,
  process: Process,
  disk: Disk,
  options: {
    readonly plane: string
    readonly sabotage: Sabotage
    readonly horizonRevisions: number
    readonly onWritten: (written: Written) => void
  },
): Store {
  const { contents } = disk
  const inner = createMemoryStore(
    { clock: process.clock, random: world.random },
    { contents, horizonRevisions: options.horizonRevisions },
  )
  const listeners = new Set<() => void>()
  const tell = () => {
    for (const listener of [...listeners]) listener()
  }
  const self = { process, wake: tell }
  disk.others.add(self)
  process.onKill(() => disk.others.delete(self))
  inner.onMark(() => {
    tell()
    for (const other of disk.others) {
      // Hints are sometimes lost.
      if (other !== self && world.random.fraction() < 0.8) other.process.after(1, other.wake)
    }
  })

  let waiting: Waiting[] = []
  let running = false

  async function drain(): Promise<void> {
    running = true
    while (waiting.length > 0) {
      await process.sleep(0.1 + process.random.fraction() * 2)
      if (disk.crash === 'before') {
        disk.crash = undefined
        process.kill()
      }
      if (!process.isAlive()) return
      const group = waiting
      waiting = []
      if (disk.isDown) {
        for (const entry of group) entry.reject(new StoreUnavailableError('the store does not answer'))
        continue
      }
      if (disk.failing && process.random.fraction() < disk.failing.share) {
        disk.failing.onFailure()
        for (const entry of group) entry.reject(new StoreUnavailableError('the disk failed a write'))
        continue
      }
      // Commits of one turn share a transaction.
      const changed = (commit: Commit) => options.sabotage.commit?.(options.plane, commit) ?? commit
      const outcomes = await Promise.all(
        group.map((round) => inner.commitRound(round.parts.map(changed), round.options)),
      )
      outcomes.forEach((outcome, index) => {
        const round = group[index]
        if (!outcome.ok || outcome.written.length === 0 || !round) return
        const { store, revision } = outcome.position
        const subject = round.parts[0]?.subject ?? ''
        options.onWritten({ store, revision, subject, isMark: !round.options?.unmarked, versions: outcome.written })
      })
      if (disk.crash === 'after') {
        disk.crash = undefined
        process.kill()
      }
      if (!process.isAlive()) return
      await process.sleep(0.1)
      group.forEach((entry, index) => {
        const outcome = outcomes[index]
        if (outcome) entry.resolve(outcome)
      })
    }
    running = false
  }

  const commitRound: Store['commitRound'] = (parts, roundOptions) =>
    new Promise((resolve, reject) => {
      waiting.push({ parts, options: roundOptions, resolve, reject })
      if (!running) void drain()
    })

  /** With stale marks, the first mark of each half minute is reported for all later ones. */
  let stale: { readonly mark: Position; readonly atMs: number } | undefined
  async function markOf(): Promise<Position> {
    const mark = await inner.mark()
    if (!options.sabotage.staleMarks || options.plane !== 'global') return mark
    if (!stale || world.now() - stale.atMs > 30_000) stale = { mark, atMs: world.now() }
    return stale.mark
  }

  /** The promises of a dead process never settle. */
  const while_ = async <T>(task: () => Promise<T>): Promise<T> => {
    if (disk.isDown) throw new StoreUnavailableError('the store does not answer')
    const value = await task()
    return process.isAlive() ? value : never
  }

  return {
    id: inner.id,
    get incarnation() {
      return inner.incarnation
    },
    notes: inner.notes,
    raiseIncarnation: (atLeast) => while_(() => inner.raiseIncarnation(atLeast)),
    fault: () => inner.fault(),
    head: () => while_(() => inner.head()),
    mark: () => while_(() => markOf()),
    commitRound,
    commit: (commit) => commitRound([commit]),
    get: (key) => while_(() => inner.get(key)),
    scan: (selection, scanOptions) => while_(() => inner.scan(selection, scanOptions)),
    changesSince: (after, through, page) => while_(() => inner.changesSince(after, through, page)),
    history: (key) => while_(() => inner.history(key)),
    records: (page) => while_(() => inner.records(page)),
    standing: (position) => while_(() => inner.standing(position)),
    onMark(listener) {
      listeners.add(listener)
      return { [Symbol.dispose]: () => void listeners.delete(listener) }
    },
    close: () => inner.close(),
  }
}
