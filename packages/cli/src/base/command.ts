import type { Options, Values } from '@zonemesh/plane/config/options.ts'

/** The context of a command, in addition to its options. */
export interface Context {
  readonly positionals: readonly string[]
  readonly signal: AbortSignal
  /** Prints results to stdout. */
  print(line: string): void
  /** Prints progress and warnings to stderr. */
  note(line: string): void
}

/** 0 success, 1 refused or failed, 2 wrong usage, 3 not possible on this machine. */
export type ExitCode = 0 | 1 | 2 | 3

export interface Command<Spec extends Options = Options> {
  /** The words that invoke the command: `token zone`. */
  readonly name: string
  readonly summary: string
  /** The arguments after the name: `-f FILE`. */
  readonly usage: string
  /** Example command lines. Each must work as printed. */
  readonly examples: readonly string[]
  readonly options: Spec
  /** The number of positional arguments. */
  readonly arity: { readonly min: number; readonly max: number }
  run(values: Values<Spec>, context: Context): Promise<ExitCode>
}

/** Declares a command; infers the types of its options. */
export const defineCommand = <Spec extends Options>(command: Command<Spec>): Command<Spec> => command

/** An error that a command reports as one line, with exit code 1 (or 2 for wrong usage). */
export class CommandError extends Error {
  readonly exitCode: 1 | 2
  constructor(message: string, exitCode: 1 | 2 = 1) {
    super(message)
    this.exitCode = exitCode
  }
}
