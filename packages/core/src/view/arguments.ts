import type { Interned } from '../kinds/interned.ts'

/** What identifies a unit within its family. What has several fields is interned: its canonical text is made once, and not for each call. */
export type Argument = string | number | boolean | undefined | Interned | readonly Interned[]

const separator = '\u0000'
/** Undefined, and nothing else: no text of a row is a control character. */
const absent = '\u0001'

/** A text that is equal for equal arguments only. */
export function keyOf(args: readonly Argument[]): string {
  let key = ''
  for (const one of args) key += (typeof one === 'string' ? one : textOf(one, idOf)) + separator
  return key
}

/** The same for people and for comparisons over time: an id is another one when its value comes back. */
export const titleOf = (args: readonly Argument[]): string =>
  args.map((one) => (one === undefined ? '' : textOf(one, ({ text }) => text))).join('\n')

const idOf = ({ id }: Interned): string => id

function textOf(argument: Argument, nameOf: (one: Interned) => string): string {
  if (typeof argument === 'object') return 'id' in argument ? nameOf(argument) : argument.map(nameOf).join()
  return argument === undefined ? absent : String(argument)
}
