/** A row that is left out of the configuration, and the reason. */
export interface Problem {
  readonly source: string
  readonly reason: string
  /** The unit that failed. Present only if a bug caused the failure and not a refusal. */
  readonly crashedIn?: string
  /** The row is not at fault: a part is still pending, or Envoy refused it and the row reports that separately. */
  readonly isNote?: true
}

/** Thrown if a part is left out although its row is not at fault; see `isNote`. */
export class NoteError extends Error {}

/**
 * Thrown if a required row is quarantined. `attempt` does not catch it, so it fails all units that depend on the row: a
 * partial result would be wrong.
 */
export class HeldError extends Error {}
