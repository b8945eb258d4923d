import { messageOf } from '@zonemesh/shared/base/base.ts'
import { type Argument, keyOf, titleOf } from './arguments.ts'
import { type Crash, crashOf, crashOfPart, type FaultPoint, innermost, isBug } from './crash.ts'
import { close, createGraph, type Graph, pause, use, within, write } from './graph.ts'
import { type Node, outcomeOf } from './node.ts'
import { HeldError, NoteError, type Problem } from './problem.ts'

/** A value that is written from outside and read by units. */
export interface Cell<T> {
  read(): T
  /** Returns true if the value changed. */
  write(value: T): boolean
}

/** A function whose results are kept until one of their inputs changes. The arguments identify the result. */
export type Family<A extends readonly Argument[], T> = (...args: A) => T

/** A unit that is read only from outside. It is kept until it is closed. */
interface Root<T> {
  readonly name: string
  read(): { readonly value: T; readonly problems: readonly Problem[] }
  /** Computes the root and returns the bug that it met, also if the bug removed only a part of the result. */
  crash(): Crash | undefined
  close(): void
}

/**
 * Compilation units: memoised functions that record what they read. A change marks all direct and indirect readers. A
 * unit is computed only when it is read. If its result is equal to the previous one, its readers are not computed
 * again. Units without readers are dropped.
 */
export function createUnits({ faultPoint }: { readonly faultPoint?: FaultPoint | undefined } = {}) {
  const graph = createGraph(faultPoint)
  return {
    counters: graph.counters as Readonly<Graph['counters']>,
    /** An input of units. `dispose` is called when its last reader is gone. */
    cell: <T>(name: string, value: T, dispose: () => void = () => undefined): Cell<T> =>
      createCell(graph, name, value, dispose),
    family: <A extends readonly Argument[], T>(name: string, make: (...args: A) => T): Family<A, T> =>
      createFamily(graph, name, make),
    root: <T>(name: string, make: () => T): Root<T> => createRoot(graph, name, make),
    /**
     * Runs a part for a row. If it throws, the row is reported as a problem and left out, and the reading unit
     * continues.
     */
    attempt<T>(source: string, part: () => T): T | undefined {
      const outcome = outcomeOf(part)
      if (outcome.ok) return outcome.value
      const { error } = outcome
      if (error === pause || error instanceof HeldError) throw error
      const { reading } = graph
      const crashedIn = reading && isBug(error) ? innermost(reading.node, reading.sources, error).name : undefined
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
      graph.reading?.problems.push({ source, reason, isNote: true })
    },
    /** Reports that a row, or a part of it, is left out. */
    problem(source: string, reason: string): void {
      graph.reading?.problems.push({ source, reason })
    },
    /**
     * Runs `read` until it has computed `unitsMax` units. Returns false if more units remain. Computed units are kept,
     * so the next call continues from there. Units have no effects, so a unit can be abandoned in the middle.
     */
    within: (unitsMax: number, read: () => void): boolean => within(graph, unitsMax, read),
    /** Names of the roots that may have changed since the last call. */
    drainTouched(): string[] {
      const names = [...graph.touched].map((node) => node.name)
      graph.touched.clear()
      return names
    },
  }
}
export type Units = ReturnType<typeof createUnits>

function createCell<T>(graph: Graph, name: string, value: T, dispose: () => void): Cell<T> {
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
    read: () => use(graph, node) as T,
    write: (next) => write(graph, node, next),
  }
}

function createFamily<A extends readonly Argument[], T>(
  graph: Graph,
  name: string,
  make: (...args: A) => T,
): Family<A, T> {
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
    return use(graph, node) as T
  }
}

function createRoot<T>(graph: Graph, name: string, make: () => T): Root<T> {
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
    read: () => ({
      // The node holds only results of `make`, which are of type T.
      value: use(graph, node) as T,
      problems: node.problems,
    }),
    crash() {
      const outcome = outcomeOf(() => use(graph, node))
      if (outcome.ok) return crashOfPart(node)
      const { error } = outcome
      if (error instanceof HeldError) return undefined
      if (error === pause) throw pause
      return crashOf(node, error)
    },
    close: () => close(node),
  }
}
