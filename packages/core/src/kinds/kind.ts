import type { Row } from '@zonemesh/shared/resource/resource.ts'
import { z } from 'zod'
import { tolerant } from './tolerant.ts'

/** One mistake in a document: the field, and what was expected. */
export interface Violation {
  /** A field path as users write it: `conf.listeners[0].port`. */
  readonly field: string
  readonly reason: string
  readonly choices?: readonly string[]
}

/**
 * The direction in which rows of a kind travel. Rows of global origin go to every zone, rows of a zone go to the
 * global. `relayed` rows go on to the other zones. `internal` rows never leave their store.
 */
export type Travel = 'global-to-zones' | 'zone-to-global' | 'zone-relayed' | 'internal'

/** A row whose spec was parsed with the schema of its kind. */
export interface TypedRow<Spec> extends Omit<Row, 'spec'> {
  readonly spec: Spec
}

/** A row of any kind. */
export type AnyRow = TypedRow<unknown>

/** One entry of an index: a range, and the member in it (by default the key text of the row). */
export interface IndexEntry {
  readonly range: string
  readonly member?: string
  /** The tag set, if the member is the text of one. */
  readonly tags?: Readonly<Record<string, string>>
}

/** The properties of a kind that the compiler reads. */
export interface Compiled<Spec> {
  /**
   * `zone`: every row belongs to the zone that wrote it. `global`: one row per name is in force, and the global's row
   * wins.
   */
  readonly owner: 'zone' | 'global'
  /**
   * The rank among suspects when a unit fails: lower ranks are left out first. If much depends on a row, leaving it out
   * hides failures of other rows, so such kinds have a high rank.
   */
  readonly blame: number
  /** A held row of this kind fails every unit that reads it, because its absence would have another meaning. */
  readonly needed?: boolean
  /** The index entries of a row in the compiler of a zone. */
  readonly index?: (row: TypedRow<Spec>, zone: string) => readonly IndexEntry[]
  /** The services of the row's mesh, and hosts as `@<hostname>`, that need a virtual address because of this row. */
  readonly names?: (row: Omit<TypedRow<Spec>, 'stamp'>, zone: string) => readonly string[]
  /** The Secrets of the row's mesh whose certificates zones need. */
  readonly secrets?: (spec: Spec) => readonly string[]
}

/** What a column shows of: one resource as an API lists it. */
export interface Shown<Spec> {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly spec: Spec
}

/** A column of lists for users. The name, the mesh, the age and the state of a connection are columns of every kind. */
export interface Column<Spec> {
  /** In capitals. */
  readonly title: string
  /** Only in the wide form of a list. */
  readonly isWide?: true
  /** One line. The empty text if there is nothing to show. */
  readonly cell: (shown: Shown<Spec>) => string
}

/** The complete description of a kind. Routes, admission, storage, sync and commands are derived from it. */
export interface Kind {
  readonly name: string
  /** The name of the collection in URLs; `pathAliases` are other spellings of it. */
  readonly path: string
  readonly pathAliases: readonly string[]
  /** Kuma's short name, the prefix of resource identifiers; empty if Kuma has none. */
  readonly shortName: string
  /** The short name on the command line if Kuma has no short name. */
  readonly commandName: string
  readonly title: { readonly singular: string; readonly plural: string }
  readonly scope: 'global' | 'mesh'
  /** `flat`: spec fields are next to `type`; `nested`: they are below `spec`. */
  readonly layout: 'flat' | 'nested'
  readonly travel: Travel
  /** The planes on which users may write it. A zone without a global owns every kind. */
  readonly writable: { readonly global: boolean; readonly zone: boolean }
  readonly adminOnly: boolean
  readonly isPolicy: boolean
  /** Internal state of the planes, hidden from the API, the command line and lists. */
  readonly internal: boolean
  /** On an API, rows of another origin keep their own name instead of a hashed one. */
  readonly fixedName: boolean
  /** For user input: unknown fields are rejected. */
  readonly schema: z.ZodType
  /** For rows of other planes, which may be newer: unknown fields are dropped. */
  readonly peerSchema: z.ZodType
  /** Undefined if the compiler does not read rows of this kind. */
  readonly compiled: Compiled<never> | undefined
  /** Explanations read these rows, although the compiler does not. */
  readonly explained: boolean
  /**
   * Rules that the schema cannot express, such as rules between fields. Runs only on a spec that the schema accepts.
   */
  readonly check: (spec: never, context: CheckContext) => readonly Violation[]
  /** Fields that are stored but not served yet, each with a sentence for the user. */
  readonly unserved: (spec: never) => readonly string[]
  /** The columns of its lists, from left to right. */
  readonly columns: readonly Column<never>[]
}

export interface CheckContext {
  readonly name: string
  readonly mesh: string
}

interface KindOptions<Schema extends z.ZodType> {
  readonly name: string
  readonly path: string
  readonly pathAliases?: readonly string[]
  readonly shortName?: string
  readonly commandName?: string
  readonly title?: { readonly singular: string; readonly plural: string }
  readonly scope: Kind['scope']
  readonly layout?: Kind['layout']
  readonly travel: Travel
  readonly writable: Kind['writable']
  readonly adminOnly?: boolean
  readonly isPolicy?: boolean
  readonly internal?: boolean
  readonly fixedName?: boolean
  readonly schema: Schema
  readonly compiled?: Compiled<z.infer<Schema>>
  readonly explained?: boolean
  readonly check?: (spec: z.infer<Schema>, context: CheckContext) => readonly Violation[]
  readonly unserved?: (spec: z.infer<Schema>) => readonly string[]
  readonly columns?: readonly Column<z.infer<Schema>>[]
}

/** A kind whose functions have the type of its spec. */
export type KindOf<Schema extends z.ZodType> = Kind & {
  readonly schema: Schema
  readonly peerSchema: Schema
  readonly compiled: Compiled<z.infer<Schema>> | undefined
  readonly check: (spec: z.infer<Schema>, context: CheckContext) => readonly Violation[]
  readonly unserved: (spec: z.infer<Schema>) => readonly string[]
  readonly columns: readonly Column<z.infer<Schema>>[]
}

/** `MeshGatewayRoute` → `Mesh Gateway Route`. */
const words = (name: string): string => name.replace(/([a-z])([A-Z])/g, '$1 $2')

/** Defines a kind. Omitted options get their most common value. */
export function defineKind<Schema extends z.ZodType>(options: KindOptions<Schema>): KindOf<Schema> {
  const singular = words(options.name)
  return {
    pathAliases: [],
    shortName: '',
    commandName: '',
    title: { singular, plural: /[^aeiou]y$/.test(singular) ? `${singular.slice(0, -1)}ies` : `${singular}s` },
    layout: 'flat',
    adminOnly: false,
    isPolicy: false,
    internal: false,
    fixedName: false,
    explained: false,
    check: () => [],
    unserved: () => [],
    columns: [],
    ...options,
    compiled: options.compiled,
    peerSchema: tolerant(options.schema),
  }
}

/** snake_case to lowerCamelCase. Users write field names in both spellings. */
const camel = (key: string): string => key.replace(/_([a-z0-9])/g, (_whole, letter: string) => letter.toUpperCase())

/** Edit distance, for "did you mean". The cost is quadratic, so call it only for short names. */
export function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_unused, index) => index)
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i]
    for (let j = 1; j <= b.length; j += 1) {
      const swap = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(swap, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1))
    }
    row = next
  }
  return row[b.length] ?? 0
}

/** The nearest candidate to a word; undefined if none is close. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  const ranked = candidates
    .map((candidate) => ({ candidate, distance: editDistance(word.toLowerCase(), candidate.toLowerCase()) }))
    .sort((a, b) => a.distance - b.distance)
  const best = ranked[0]
  return best && best.distance <= Math.max(2, Math.floor(word.length / 3)) ? best.candidate : undefined
}

const unknownFieldSeparator = '\n'

/**
 * An object of a spec. Keys may be written in snake_case or lowerCamelCase and are stored in the latter. An unknown key
 * is rejected, with the nearest known key as a hint. Null means absent, as in YAML's `field:` without a value.
 */
export function message<Shape extends z.ZodRawShape>(shape: Shape) {
  const known = Object.keys(shape)
  const strict = z.strictObject(shape, {
    error: (issue) => {
      if (issue.code !== 'unrecognized_keys') return undefined
      return (issue.keys as string[])
        .map((key) => {
          const candidate = nearest(key, known)
          return candidate
            ? `unknown field; did you mean "${candidate}"?`
            : `unknown field; known are ${known.join(', ')}`
        })
        .join(unknownFieldSeparator)
    },
  })
  return z.preprocess((input) => {
    if (input === null || typeof input !== 'object' || Array.isArray(input)) return input
    const entries: [string, unknown][] = []
    for (const [key, value] of Object.entries(input)) {
      if (value === null) continue
      entries.push([known.includes(key) ? key : known.includes(camel(key)) ? camel(key) : key, value])
    }
    return Object.fromEntries(entries)
  }, strict)
}

/** `["a", 0, "b/c"]` → `a[0]["b/c"]`. */
export function fieldPath(prefix: string, path: readonly PropertyKey[]): string {
  return path.reduce<string>((text, part) => {
    if (typeof part === 'number') return `${text}[${part}]`
    const key = String(part)
    if (!/^[A-Za-z_][\w-]*$/.test(key)) return `${text}["${key}"]`
    return text === '' ? key : `${text}.${key}`
  }, prefix)
}

/** The violations of schema issues, with field paths as users write them. */
export function violationsOf(prefix: string, issues: readonly z.core.$ZodIssue[]): Violation[] {
  return issues.flatMap((issue) => {
    if (issue.code === 'unrecognized_keys') {
      const reasons = issue.message.split(unknownFieldSeparator)
      return issue.keys.map((key, index) => ({
        field: fieldPath(prefix, [...issue.path, key]),
        reason: reasons[index] ?? 'unknown field',
      }))
    }
    const reason = issue.message
    if (issue.code === 'invalid_value') {
      return [{ field: fieldPath(prefix, issue.path), reason, choices: issue.values.map(String) }]
    }
    return [{ field: fieldPath(prefix, issue.path), reason }]
  })
}
