import type { Outcome } from '@zonemesh/plane/api/answers.ts'
import type { Difference } from '@zonemesh/plane/history/differences.ts'
import type { Context } from '../base/command.ts'
import type { CommitAnswer } from '../files/commit.ts'
import { differenceLines } from './show-difference.ts'

/** An outcome of a dry run in the form of a difference. */
export function differenceOf({ type, mesh, name, before, after, fields = [] }: Outcome): Difference {
  return {
    type,
    ...(mesh === undefined ? {} : { mesh }),
    name,
    change: before === undefined ? 'created' : after === undefined ? 'deleted' : 'changed',
    ...(before ? { before } : {}),
    ...(after ? { after } : {}),
    fields,
  }
}

/** What a dry run would change in one resource, as a patch of its YAML. Empty if it changes nothing. */
export const planLines = (one: Outcome, from: string, to: string): string[] =>
  one.before || one.after ? differenceLines(differenceOf(one), from, to) : []

/** `2 created, 1 updated, 4 unchanged`. */
export function totalsText(outcomes: readonly Pick<Outcome, 'outcome'>[]): string {
  const counts = ['created', 'updated', 'deleted', 'unchanged', 'refused', 'skipped'].flatMap((word) => {
    const count = outcomes.filter(({ outcome }) => outcome === word).length
    return count === 0 ? [] : [`${count} ${word}`]
  })
  return counts.join(', ') || 'nothing to do'
}

/** Prints the removals of a plan that the user has to confirm. */
export function noteMassRemovals({ note }: Pick<Context, 'note'>, { massRemovals = [] }: CommitAnswer): void {
  for (const { kind, removed, total } of massRemovals)
    note(`it removes ${removed} of ${total} ${kind}: confirm that with --yes-remove-many`)
}
