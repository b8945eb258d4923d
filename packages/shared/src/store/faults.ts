/**
 * The points of a commit, in order, at which tests end the process or throw: nothing written; before each version;
 * everything written but not durable; durable but not acknowledged.
 */
export type FaultPoint = 'begin' | 'version' | 'before-commit' | 'after-commit'

/** Called at each point, if given. A throw simulates a failing disk or database. */
export type FaultHook = (point: FaultPoint) => void
