import { byCodeUnit, messageOf } from '@zonemesh/shared/base/base.ts'
import { type FaultPoint, meetFault } from './crash.ts'
import { type Node, type Outcome, outcomeOf, type State } from './node.ts'
import type { Problem } from './problem.ts'
import { same } from './same.ts'

/** The state that all nodes share. */
export interface Graph {
  /** The unit that is being computed, with what it has read and reported so far. */
  reading: { readonly node: Node; readonly sources: Set<Node>; readonly problems: Problem[] } | undefined
  /** Roots that may have changed. */
  readonly touched: Set<Node>
  /** How many units may still be computed before a pause. */
  budget: number
  readonly counters: { unitsCompiled: number }
  readonly faultPoint: FaultPoint | undefined
}

export const createGraph = (faultPoint: FaultPoint | undefined): Graph => ({
  reading: undefined,
  touched: new Set(),
  budget: Number.POSITIVE_INFINITY,
  counters: { unitsCompiled: 0 },
  faultPoint,
})

/** Thrown through all units that are being computed when the budget is used up. */
export const pause = new Error('invariant broken: a pause was taken for an error')

/** Records that the unit that is being computed reads this node, and returns the current value or throws its error. */
export function use(graph: Graph, node: Node): unknown {
  const { reading } = graph
  if (reading) {
    reading.sources.add(node)
    // The reader is registered at once, so that the node is not dropped while its new reader is still computing.
    node.observers.add(reading.node)
  }
  refresh(graph, node)
  if (node.outcome.ok) return node.outcome.value
  throw node.outcome.error
}

function refresh(graph: Graph, node: Node): void {
  if (node.state === 'suspect') {
    for (const source of node.sources) {
      refresh(graph, source)
      // Refreshing the source may have set the state to dirty. The type checker cannot see this.
      if ((node.state as State) === 'dirty') break
    }
  }
  if (node.state === 'dirty') compute(graph, node)
  node.state = 'clean'
}

function compute(graph: Graph, node: Node): void {
  if (graph.budget <= 0) throw pause
  const { reading: outer, faultPoint } = graph
  const mine = { node, sources: new Set<Node>(), problems: [] as Problem[] }
  graph.reading = mine
  const outcome = outcomeOf(() => {
    const value = node.compute?.()
    if (faultPoint) meetFault(faultPoint, node.name, mine.sources)
    return value
  })
  graph.reading = outer
  if (!outcome.ok && outcome.error === pause) {
    // The node stays dirty. It keeps the sources it has read so far, so that they are not dropped before the next
    // attempt.
    node.sources = [...new Set([...node.sources, ...mine.sources])]
    throw pause
  }
  graph.budget -= 1
  graph.counters.unitsCompiled += 1
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

/** Removes an observer of a source. A source without observers is dropped, and releases its own sources. */
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

/** Releases everything that a root has read. */
export function close(root: Node): void {
  const sources = root.sources
  root.sources = []
  root.state = 'dirty'
  for (const source of sources) release(source, root)
}

/** Writes a cell and marks its direct and indirect observers. Returns true if the value changed. */
export function write(graph: Graph, cell: Node, value: unknown): boolean {
  if (cell.outcome.ok && same(cell.outcome.value, value)) return false
  cell.outcome = { ok: true, value }
  mark(graph, cell, 'dirty')
  return true
}

function mark(graph: Graph, node: Node, state: 'suspect' | 'dirty'): void {
  for (const observer of node.observers) {
    const before = observer.state
    if (before !== 'dirty') observer.state = state
    if (before !== 'clean') continue
    if (observer.isRoot) graph.touched.add(observer)
    mark(graph, observer, 'suspect')
  }
}

/** Runs `read` with a budget of units. Returns false if the budget was used up. */
export function within(graph: Graph, unitsMax: number, read: () => void): boolean {
  graph.budget = unitsMax
  try {
    read()
    return true
  } catch (thrown) {
    if (thrown === pause) return false
    throw thrown
  } finally {
    graph.budget = Number.POSITIVE_INFINITY
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
