import { byCodeUnit, messageOf } from '@zonemesh/shared/base/base.ts'
import { type Argument, keyOf, titleOf } from './arguments.ts'
import { same } from './same.ts'

/** A row that is left out of the configuration, and the reason. */
export interface Problem {
  readonly source: string
  readonly reason: string
  /** The unit that failed. Present only if a bug caused the failure and not a refusal. */
  readonly crashedIn?: string
  /** The row is not at fault: a part is still pending, or Envoy refused it and the row reports that separately. */
  readonly isNote?: true
}

/**
 * Called after each computation with the name of the unit and the names of the cells and units that it read. Only cells
 * that have a value are listed; a cell of a row has the text of the row's key as its name. An exception simulates a bug
 * in the unit. For tests and simulation only.
 */
export type FaultPoint = (unit: string, reads: readonly string[]) => void

/** Thrown if a part is left out although its row is not at fault; see `isNote`. */
export class NoteError extends Error {}

/**
 * Thrown if a required row is quarantined. `attempt` does not catch it, so it fails all units that depend on the row: a
 * partial result would be wrong.
 */
export class HeldError extends Error {}

/** The failure of a root: the innermost unit that failed, and the cells that this unit read. */
export interface Crash {
  readonly unit: string
  readonly reason: string
  /** Names of the cells that the unit read directly. */
  readonly direct: readonly string[]
  /** Names of the cells that the unit read directly or through other units. */
  readonly all: readonly string[]
}

type Outcome<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: unknown }

/** `suspect`: an input may have changed. The unit is computed again only if an input really did. */
type State = 'clean' | 'suspect' | 'dirty'

interface Node {
  readonly name: string
  state: State
  outcome: Outcome<unknown>
  /** Problems of this unit and of all units that it read. */
  problems: readonly Problem[]
  sources: Node[]
  readonly observers: Set<Node>
  /** Absent for cells, which are written from outside. */
  readonly compute: (() => unknown) | undefined
  readonly dispose: () => void
  readonly isRoot?: boolean
}

/** A value that is written from outside and read by units. */
export interface Cell<T> {
  read(): T
  /** Returns true if the value changed. */
  write(value: T): boolean
}

/** A function whose results are kept until one of their inputs changes. The arguments identify the result. */
export type Family<A extends readonly Argument[], T> = (...args: A) => T

/**
 * Compilation units: memoised functions that record what they read. A change marks all direct and indirect readers. A
 * unit is computed only when it is read. If its result is equal to the previous one, its readers are not computed
 * again. Units without readers are dropped.
 */
export function createUnits({ faultPoint }: { readonly faultPoint?: FaultPoint | undefined } = {}) {
  let reading: { readonly node: Node; readonly sources: Set<Node>; readonly problems: Problem[] } | undefined
  const touched = new Set<Node>()
  /** How many units may still be computed before a pause. */
  let budget = Number.POSITIVE_INFINITY
  const counters = { unitsCompiled: 0 }

  function mark(node: Node, state: 'suspect' | 'dirty'): void {
    for (const observer of node.observers) {
      const before = observer.state
      if (before !== 'dirty') observer.state = state
      if (before !== 'clean') continue
      if (observer.isRoot) touched.add(observer)
      mark(observer, 'suspect')
    }
  }

  function refresh(node: Node): void {
    if (node.state === 'suspect') {
      for (const source of node.sources) {
        refresh(source)
        // refresh(source) may have set the state to dirty. The type checker cannot see this.
        if ((node.state as State) === 'dirty') break
      }
    }
    if (node.state === 'dirty') compute(node)
    node.state = 'clean'
  }

  function compute(node: Node): void {
    if (budget <= 0) throw pause
    const outer = reading
    const mine = { node, sources: new Set<Node>(), problems: [] as Problem[] }
    reading = mine
    const outcome = outcomeOf(() => {
      const value = node.compute?.()
      if (faultPoint) meetFault(faultPoint, node.name, mine.sources)
      return value
    })
    reading = outer
    if (!outcome.ok && outcome.error === pause) {
      // The node stays dirty. It keeps the sources it has read so far, so that they are not dropped before the next
      // attempt.
      node.sources = [...new Set([...node.sources, ...mine.sources])]
      throw pause
    }
    budget -= 1
    counters.unitsCompiled += 1
    settle(node, [...mine.sources])
    const problems = collect(mine.problems, node.sources)
    const unchanged = sameOutcome(node.outcome, outcome)
    if (unchanged && same(node.problems, problems)) return
    if (!unchanged) node.outcome = outcome
    node.problems = problems
    for (const observer of node.observers) observer.state = 'dirty'
  }

  /** Stores the new list of sources and releases those that the node no longer reads. */
  function settle(node: Node, sources: Node[]): void {
    const before = node.sources
    node.sources = sources
    const kept = new Set(sources)
    for (const source of before) if (!kept.has(source)) release(source, node)
  }

  function release(source: Node, observer: Node): void {
    source.observers.delete(observer)
    if (source.observers.size > 0) return
    source.dispose()
    if (!source.compute) return
    source.state = 'dirty'
    const sources = source.sources
    source.sources = []
    for (const one of sources) release(one, source)
  }

  function use(node: Node): unknown {
    if (reading) {
      reading.sources.add(node)
      // The reader is registered at once, so that the node is not dropped while its new reader is still computing.
      node.observers.add(reading.node)
    }
    refresh(node)
    if (node.outcome.ok) return node.outcome.value
    throw node.outcome.error
  }

  return {
    counters: counters as Readonly<typeof counters>,
    /** An input of units. `dispose` is called when its last reader is gone. */
    cell<T>(name: string, value: T, dispose: () => void = () => undefined): Cell<T> {
      const node: Node = {
        name,
        state: 'clean',
        outcome: { ok: true, value },
        problems: [],
        sources: [],
        observers: new Set(),
        compute: undefined,
        dispose,
      }
      return {
        // A cell holds only its initial value and values passed to `write`, which are of type T.
        read: () => use(node) as T,
        write(next) {
          if (node.outcome.ok && same(node.outcome.value, next)) return false
          node.outcome = { ok: true, value: next }
          mark(node, 'dirty')
          return true
        },
      }
    },
    family<A extends readonly Argument[], T>(name: string, make: (...args: A) => T): Family<A, T> {
      const nodes = new Map<string, Node>()
      return (...args) => {
        const key = keyOf(args)
        let node = nodes.get(key)
        if (!node) {
          node = {
            // Built on demand: there are very many units, and few of them fail.
            get name() {
              return `${name} ${titleOf(args)}`
            },
            state: 'dirty',
            outcome: { ok: false, error: undefined },
            problems: [],
            sources: [],
            observers: new Set(),
            compute: () => make(...args),
            dispose: () => void nodes.delete(key),
          }
          nodes.set(key, node)
        }
        // The node holds only results of `make`, which are of type T.
        return use(node) as T
      }
    },
    /**
     * Runs a part for a row. If it throws, the row is reported as a problem and left out, and the reading unit
     * continues.
     */
    attempt<T>(source: string, part: () => T): T | undefined {
      const outcome = outcomeOf(part)
      if (outcome.ok) return outcome.value
      const { error } = outcome
      if (error === pause || error instanceof HeldError) throw error
      const crashedIn = reading && isBug(error) ? bottomOf(reading.node, reading.sources, error).name : undefined
      reading?.problems.push({
        source,
        reason: messageOf(error),
        ...(crashedIn === undefined ? {} : { crashedIn }),
        ...(error instanceof NoteError ? { isNote: true } : {}),
      })
      return undefined
    },
    /** Reports a condition that is not the fault of the row. */
    note(source: string, reason: string): void {
      reading?.problems.push({ source, reason, isNote: true })
    },
    /** Reports that a row, or a part of it, is left out. */
    problem(source: string, reason: string): void {
      reading?.problems.push({ source, reason })
    },
    /** A unit that is read only from outside. It is kept until it is closed. */
    root<T>(name: string, make: () => T) {
      const node: Node = {
        name,
        state: 'dirty',
        outcome: { ok: false, error: undefined },
        problems: [],
        sources: [],
        observers: new Set(),
        compute: make,
        dispose: () => undefined,
        isRoot: true,
      }
      return {
        name,
        read: (): { readonly value: T; readonly problems: readonly Problem[] } => ({
          // The node holds only results of `make`, which are of type T.
          value: use(node) as T,
          problems: node.problems,
        }),
        /** Computes the root and returns the bug that it met, also if the bug removed only a part of the result. */
        crash(): Crash | undefined {
          const outcome = outcomeOf(() => use(node))
          if (outcome.ok) {
            const problem = node.problems.find((one) => one.crashedIn !== undefined)
            const unit = problem && findBelow(node, (one) => one.name === problem.crashedIn)
            return problem && unit && { unit: unit.name, reason: problem.reason, ...cellsOf(unit) }
          }
          const { error } = outcome
          if (error instanceof HeldError) return undefined
          if (error === pause) throw pause
          const unit = bottomOf(node, node.sources, error)
          return { unit: unit.name, reason: messageOf(error), ...cellsOf(unit) }
        },
        close(): void {
          const sources = node.sources
          node.sources = []
          node.state = 'dirty'
          for (const source of sources) release(source, node)
        },
      }
    },
    /**
     * Runs `read` until it has computed `unitsMax` units. Returns false if more units remain. Computed units are kept,
     * so the next call continues from there. Units have no effects, so a unit can be abandoned in the middle.
     */
    within(unitsMax: number, read: () => void): boolean {
      budget = unitsMax
      try {
        read()
        return true
      } catch (thrown) {
        if (thrown === pause) return false
        throw thrown
      } finally {
        budget = Number.POSITIVE_INFINITY
      }
    },
    /** Names of the roots that may have changed since the last call. */
    drainTouched(): string[] {
      const names = [...touched].map((node) => node.name)
      touched.clear()
      return names
    },
  }
}
export type Units = ReturnType<typeof createUnits>

/** Thrown through all units that are being computed when the budget is used up. */
const pause = new Error('invariant broken: a pause was taken for an error')

/** Marks an error of a fault point, so that it counts as a bug and not as a refusal. */
class PlantedError extends Error {}

/** Refusals are plain errors with a message. The types below are thrown only by mistakes in the code. */
const isBug = (error: unknown): boolean =>
  error instanceof TypeError ||
  error instanceof RangeError ||
  error instanceof ReferenceError ||
  error instanceof SyntaxError ||
  error instanceof PlantedError

const isThere = ({ compute, outcome }: Node): boolean =>
  compute !== undefined || (outcome.ok && outcome.value !== undefined)

function meetFault(faultPoint: FaultPoint, unit: string, sources: ReadonlySet<Node>): void {
  try {
    faultPoint(
      unit,
      [...sources].filter(isThere).map((source) => source.name),
    )
  } catch (cause) {
    throw new PlantedError(messageOf(cause), { cause })
  }
}

/** The innermost unit that threw this error. */
function bottomOf(node: Node, sources: Iterable<Node>, error: unknown): Node {
  for (const source of sources) {
    if (source.compute && !source.outcome.ok && source.outcome.error === error)
      return bottomOf(source, source.sources, error)
  }
  return node
}

/** A node and all its direct and indirect sources, each once, the node first. */
function* below(node: Node): Iterable<Node> {
  const seen = new Set([node])
  for (const one of seen) {
    yield one
    for (const source of one.sources) seen.add(source)
  }
}

function findBelow(node: Node, isWanted: (node: Node) => boolean): Node | undefined {
  for (const one of below(node)) if (isWanted(one)) return one
  return undefined
}

function cellsOf(unit: Node): Pick<Crash, 'direct' | 'all'> {
  const namesOf = (nodes: Iterable<Node>) => [...nodes].flatMap((one) => (one.compute ? [] : [one.name]))
  return { direct: namesOf(unit.sources), all: namesOf(below(unit)) }
}

function outcomeOf<T>(part: () => T): Outcome<T> {
  try {
    return { ok: true, value: part() }
  } catch (error) {
    return { ok: false, error }
  }
}

function sameOutcome(a: Outcome<unknown>, b: Outcome<unknown>): boolean {
  if (a.ok && b.ok) return same(a.value, b.value)
  return !a.ok && !b.ok && a.error !== undefined && messageOf(a.error) === messageOf(b.error)
}

const none: readonly Problem[] = []

function collect(own: readonly Problem[], sources: readonly Node[]): readonly Problem[] {
  const problemByText = new Map<string, Problem>()
  for (const problem of own) problemByText.set(`${problem.source} ${problem.reason}`, problem)
  for (const { problems } of sources) {
    for (const problem of problems) problemByText.set(`${problem.source} ${problem.reason}`, problem)
  }
  if (problemByText.size === 0) return none
  return [...problemByText].sort(([a], [b]) => byCodeUnit(a, b)).map(([, problem]) => problem)
}
