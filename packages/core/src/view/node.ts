import type { Problem } from './problem.ts'

/** A cell, a unit or a root. Its sources are the nodes that it has read, its observers those that have read it. */
export interface Node {
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

/** `suspect`: an input may have changed. The unit is computed again only if an input really did. */
export type State = 'clean' | 'suspect' | 'dirty'

export type Outcome<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: unknown }

export function outcomeOf<T>(part: () => T): Outcome<T> {
  try {
    return { ok: true, value: part() }
  } catch (error) {
    return { ok: false, error }
  }
}
