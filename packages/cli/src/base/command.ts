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

/** Every exit code of a command, for docs/errors.md. */
export const exitCodes = {
  0: { meaning: 'success', remedy: '' },
  1: {
    meaning: 'refused or failed; with `diff --exit-code`: there are differences',
    remedy: 'read the message: it states what was expected and found, and what to do',
  },
  2: { meaning: 'wrong usage: an unknown command, option or value', remedy: 'read `--help` of the command' },
  3: {
    meaning: 'not possible on this machine (only `zonemesh chaos`)',
    remedy: 'install what the message names, or run the command with the rights that it names',
  },
} as const

export type ExitCode = keyof typeof exitCodes

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
