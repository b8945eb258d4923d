import { messageOf } from '@zonemesh/shared/base/base.ts'
import type { Node } from './node.ts'

/** The failure of a root: the innermost unit that failed, and the cells that this unit read. */
export interface Crash {
  readonly unit: string
  readonly reason: string
  /** Names of the cells that the unit read directly. */
  readonly direct: readonly string[]
  /** Names of the cells that the unit read directly or through other units. */
  readonly all: readonly string[]
}

/** The crash of a root that failed with this error. */
export function crashOf(root: Node, error: unknown): Crash {
  const unit = innermost(root, root.sources, error)
  return { unit: unit.name, reason: messageOf(error), ...cellsOf(unit) }
}

/** The first bug that removed only a part of the result of a root. */
export function crashOfPart(root: Node): Crash | undefined {
  const problem = root.problems.find((one) => one.crashedIn !== undefined)
  const unit = problem && findBelow(root, (one) => one.name === problem.crashedIn)
  return problem && unit && { unit: unit.name, reason: problem.reason, ...cellsOf(unit) }
}

/** The innermost unit that threw this error. `sources` are those that the node has read so far. */
export function innermost(node: Node, sources: Iterable<Node>, error: unknown): Node {
  for (const source of sources) {
    if (source.compute && !source.outcome.ok && source.outcome.error === error)
      return innermost(source, source.sources, error)
  }
  return node
}

/** Refusals are plain errors with a message. The types below are thrown only by mistakes in the code. */
export const isBug = (error: unknown): boolean =>
  error instanceof TypeError ||
  error instanceof RangeError ||
  error instanceof ReferenceError ||
  error instanceof SyntaxError ||
  error instanceof PlantedError

/**
 * Called after each computation with the name of the unit and the names of the cells and units that it read. Only cells
 * that have a value are listed; a cell of a row has the text of the row's key as its name. An exception simulates a bug
 * in the unit. For tests and simulation only.
 */
export type FaultPoint = (unit: string, reads: readonly string[]) => void

/** Marks an error of a fault point, so that it counts as a bug and not as a refusal. */
class PlantedError extends Error {}

export function meetFault(faultPoint: FaultPoint, unit: string, sources: ReadonlySet<Node>): void {
  try {
    faultPoint(
      unit,
      [...sources].filter(isThere).map((source) => source.name),
    )
  } catch (cause) {
    throw new PlantedError(messageOf(cause), { cause })
  }
}

const isThere = ({ compute, outcome }: Node): boolean =>
  compute !== undefined || (outcome.ok && outcome.value !== undefined)

/** A node and all its direct and indirect sources, each once, the node first. */
function* below(node: Node): Iterable<Node> {
  const seen = new Set([node])
  for (const one of seen) {
    yield one
    for (const source of one.sources) seen.add(source)
  }
}

function findBelow(node: Node, isMatch: (node: Node) => boolean): Node | undefined {
  for (const one of below(node)) if (isMatch(one)) return one
  return undefined
}

function cellsOf(unit: Node): Pick<Crash, 'direct' | 'all'> {
  const namesOf = (nodes: Iterable<Node>) => [...nodes].flatMap((one) => (one.compute ? [] : [one.name]))
  return { direct: namesOf(unit.sources), all: namesOf(below(unit)) }
}
