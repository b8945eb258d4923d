import type { Difference } from '@zonemesh/plane/history/differences.ts'
import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import { stringify } from 'yaml'
import { shownName } from '../resources/resource-word.ts'
import { painted } from './colour.ts'
import { colourOf, unifiedDiff } from './unified-diff.ts'

const yamlLines = (document: JsonObject | undefined): string[] =>
  document === undefined ? [] : stringify(document, { lineWidth: 0 }).trimEnd().split('\n')

/** One resource at two revisions, as a patch of its YAML. */
export function differenceLines(one: Difference, from: string, to: string): string[] {
  const name = shownName(one)
  const side = (document: JsonObject | undefined, revision: string) =>
    document === undefined ? `(absent) ${revision}` : `${name} ${revision}`
  const lines = [
    `--- ${side(one.before, from)}`,
    `+++ ${side(one.after, to)}`,
    ...unifiedDiff(yamlLines(one.before), yamlLines(one.after)),
  ]
  return lines.map((line) => painted(line, colourOf(line)))
}

/** A short list of the changed fields: `conf.http.rules[0].weight`, or `conf.hostnames, tags +3`. */
export function fieldsText(fields: readonly { readonly field: string }[]): string {
  const shown = fields.slice(0, 2).map(({ field }) => field)
  return `${shown.join(', ')}${fields.length > shown.length ? ` +${fields.length - shown.length}` : ''}`
}
