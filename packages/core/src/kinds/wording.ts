import type { z } from 'zod'

/**
 * The words of a schema for users, in place of those of zod. Schemas with their own message keep it. Pass it to a parse:
 * `schema.safeParse(value, { error: wording })`.
 */
export const wording: z.core.$ZodErrorMap = (issue) => {
  const expected = expectation(issue)
  return issue.code === 'invalid_type' || issue.code === 'invalid_union'
    ? `${expected}, found ${found(issue.input)}`
    : expected
}

/** The same without what was found, for callers that show the value itself. */
export const expectation = (issue: z.core.$ZodRawIssue): string => {
  switch (issue.code) {
    case 'invalid_type':
      return `expected ${typeName(issue.expected)}`
    case 'invalid_value':
      return `expected ${issue.values.length > 1 ? 'one of ' : ''}${issue.values.map((one) => JSON.stringify(one)).join(', ')}`
    case 'too_big':
      return `expected ${bound(issue.origin, 'at most', issue.maximum)}`
    case 'too_small':
      return `expected ${bound(issue.origin, 'at least', issue.minimum)}`
    case 'unrecognized_keys':
      return `unknown field ${issue.keys.map((key) => JSON.stringify(key)).join(', ')}`
    case 'invalid_union':
      return `expected ${[...new Set(issue.errors.flat().map(alternative))].join(' or ') || 'another value'}`
    case 'not_multiple_of':
      return `expected a multiple of ${issue.divisor}`
    case 'invalid_format':
    case 'invalid_key':
    case 'invalid_element':
    case 'custom':
      return 'not valid'
  }
}

const typeNames: Readonly<Record<string, string>> = {
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'an object',
  record: 'an object',
  null: 'nothing',
}

const typeName = (expected: string): string => typeNames[expected] ?? 'another value'

const alternative = (issue: z.core.$ZodIssue): string =>
  issue.code === 'invalid_type' ? typeName(issue.expected) : 'another value'

function bound(origin: string, words: string, limit: number | bigint): string {
  if (origin === 'string') return limit === 1 ? 'a text that is not empty' : `a text of ${words} ${limit} characters`
  if (origin === 'array' || origin === 'set') return `${words} ${limit} ${limit === 1 ? 'element' : 'elements'}`
  return `${words} ${limit}`
}

function found(input: unknown): string {
  if (input === undefined || input === null) return 'nothing'
  if (Array.isArray(input)) return 'a list'
  if (typeof input === 'boolean') return String(input)
  return { string: 'a text', number: 'a number', object: 'an object' }[String(typeof input)] ?? 'another value'
}
