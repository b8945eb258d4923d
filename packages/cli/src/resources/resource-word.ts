import type { Kind } from '@zonemesh/core/kinds/kind.ts'
import { option, text } from '@zonemesh/plane/config/options.ts'
import { CommandError } from '../base/command.ts'
import { kindByWord } from './kinds.ts'

/** The option of commands whose KIND NAME stands in one mesh. */
export const meshOption = option(text.default('default'), 'the mesh of mesh-scoped kinds', {
  placeholder: 'MESH',
  short: 'm',
  shownDefault: 'default',
})

export interface ResourceWord {
  readonly kind: Kind | undefined
  readonly name: string | undefined
}

/** Parses `KIND/NAME`, `KIND NAME`, `KIND` or nothing: the resources that a command applies to. */
export function resourceFrom(words: readonly string[]): ResourceWord {
  const [first, second] = words
  if (first === undefined) return { kind: undefined, name: undefined }
  const [word = '', inline, ...more] = first.split('/')
  if (more.length > 0 || inline === '' || (inline !== undefined && second !== undefined))
    throw new CommandError(`expected KIND/NAME, found "${words.join(' ')}"`, 2)
  return { kind: kindByWord(word), name: inline ?? second }
}

/** The same selection as members of a query or body of the API. */
export function selectionOf(
  { kind, name }: ResourceWord,
  mesh: string | undefined,
): { readonly kind?: string; readonly name?: string; readonly mesh?: string } {
  return {
    ...(kind ? { kind: kind.name } : {}),
    ...(name === undefined ? {} : { name }),
    ...(mesh === undefined ? {} : { mesh }),
  }
}

export const shownName = ({ type, mesh, name, zone }: Named): string =>
  `${type} ${mesh === undefined ? '' : `${mesh}/`}${name}${zone === undefined ? '' : ` of ${zone}`}`

interface Named {
  readonly type: string
  readonly mesh?: string
  readonly name: string
  readonly zone?: string
}
