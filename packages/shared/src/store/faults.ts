/**
 * The numbered points of a commit, in order, at which tests end the process or throw: nothing written; before each version;
 * all written but not durable; durable but not acknowledged.
 */
export type FaultPoint = 'begin' | 'version' | 'before-commit' | 'after-commit'

/** Called at each point when given. A throw stands for a failing disk or database. */
export type FaultHook = (point: FaultPoint) => void
