import type { Interned } from '../kinds/interned.ts'

/**
 * The arguments that identify a unit within its family. Compound arguments are interned, so that their text is made
 * only once.
 */
export type Argument = string | number | boolean | undefined | Interned | readonly Interned[]

const separator = '\u0000'
/** Stands for `undefined` only: no text of a row contains a control character. */
const absent = '\u0001'

/** A text that is equal only for equal arguments. */
export function keyOf(args: readonly Argument[]): string {
  let key = ''
  for (const one of args) key += (typeof one === 'string' ? one : textOf(one, idOf)) + separator
  return key
}

/**
 * A readable text, stable over time. The ids in a key are not: an interned value that was dropped and made again gets a
 * new id.
 */
export const titleOf = (args: readonly Argument[]): string =>
  args.map((one) => (one === undefined ? '' : textOf(one, ({ text }) => text))).join('\n')

const idOf = ({ id }: Interned): string => id

function textOf(argument: Argument, nameOf: (one: Interned) => string): string {
  if (typeof argument === 'object') return 'id' in argument ? nameOf(argument) : argument.map(nameOf).join()
  return argument === undefined ? absent : String(argument)
}
