import { violationsOf } from '@zonemesh/core/kinds/kind.ts'
import { isMap, isSeq, LineCounter, parseDocument } from 'yaml'
import type { z } from 'zod'
import { CommandError } from './command.ts'

/** The place of a field in a file: `zonemesh.yaml:12`. For a field that is missing, the closest one above it. */
export type Place = (path: readonly (string | number)[]) => string

/**
 * Parses a YAML file with a schema. Throws a CommandError that names the file, the line, the field, what was expected
 * and what was found.
 */
export function parseYamlFile<Schema extends z.ZodType>(
  path: string,
  text: string,
  schema: Schema,
): { readonly content: z.infer<Schema>; readonly at: Place } {
  const lines = new LineCounter()
  const parsed = parseDocument(text, { lineCounter: lines })
  const [fault] = parsed.errors
  if (fault) throw new CommandError(`${path}:${fault.linePos?.[0].line ?? 1}: ${fault.message.split('\n')[0]}`)
  const at: Place = (fields) => {
    // The node itself, or the closest one above it.
    for (let length = fields.length; length >= 0; length -= 1) {
      const node = parsed.getIn(fields.slice(0, length), true)
      const range = isMap(node) || isSeq(node) ? node.range : undefined
      if (range) return `${path}:${lines.linePos(range[0]).line}`
    }
    return path
  }
  const read = schema.safeParse(parsed.toJS() ?? {})
  if (!read.success) {
    const [issue] = read.error.issues
    const [violation] = violationsOf('', issue ? [issue] : [])
    const fields = (issue?.path ?? []).filter((one) => typeof one !== 'symbol')
    throw new CommandError(`${at(fields)}: ${violation?.field || 'the file'}: ${violation?.reason}`)
  }
  return { content: read.data, at }
}
