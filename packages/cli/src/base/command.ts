import type { Options, Values } from '@zonemesh/plane/config/options.ts'

/** What a command is given beside its options. */
export interface Context {
  readonly positionals: readonly string[]
  readonly signal: AbortSignal
  /** Results, for people and pipes. */
  print(line: string): void
  /** Progress and warnings. */
  note(line: string): void
}

/** 0 done, 1 refused or failed, 2 wrong use, 3 not possible on this machine. */
export type ExitCode = 0 | 1 | 2 | 3

export interface Command<Spec extends Options = Options> {
  /** The words that call it: `token zone`. */
  readonly name: string
  readonly summary: string
  /** What follows the name: `-f FILE`. */
  readonly usage: string
  /** A newcomer's next lines; each one works as printed. */
  readonly examples: readonly string[]
  readonly options: Spec
  /** How many positionals it takes. */
  readonly arity: { readonly min: number; readonly max: number }
  run(values: Values<Spec>, context: Context): Promise<ExitCode>
}

/** Declares a command; infers the types of its options. */
export const defineCommand = <Spec extends Options>(command: Command<Spec>): Command<Spec> => command

/** A refusal that a command reports in one line with exit code 1 (or 2 for wrong use). */
export class CommandError extends Error {
  readonly exitCode: 1 | 2
  constructor(message: string, exitCode: 1 | 2 = 1) {
    super(message)
    this.exitCode = exitCode
  }
}
