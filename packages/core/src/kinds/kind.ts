import type { Row } from '@zonemesh/shared/resource/resource.ts'
import { z } from 'zod'
import { tolerant } from './tolerant.ts'

/** One thing that is wrong with a document: where, and what was expected. */
export interface Violation {
  /** A field path as people write it: `conf.listeners[0].port`. */
  readonly field: string
  readonly reason: string
  readonly choices?: readonly string[]
}

/**
 * Which way rows of a kind travel. Rows of global origin go to every zone, rows of a zone go to the global; `relayed`
 * ones go on to the other zones. `internal` rows never leave their store.
 */
export type Travel = 'global-to-zones' | 'zone-to-global' | 'zone-relayed' | 'internal'

/** A row whose spec is what the schema of its kind returned. */
export interface TypedRow<Spec> extends Omit<Row, 'spec'> {
  readonly spec: Spec
}

/** A row of a kind that its reader need not know. */
export type AnyRow = TypedRow<unknown>

/** One entry of an index: the range that it stands in, and its member there (by default the text of the row's key). */
export interface IndexEntry {
  readonly range: string
  readonly member?: string
  /** The tag set that the member is the text of. */
  readonly tags?: Readonly<Record<string, string>>
}

/** What the compiler needs to know of a kind that something is compiled from. */
export interface Compiled<Spec> {
  /** `zone`: every row counts for the zone that wrote it. `global`: one row per name is in force, and the global's wins. */
  readonly owner: 'zone' | 'global'
  /**
   * The place among suspects when a unit fails: lower ones are left out first. The more depends on a row, the easier a failure
   * disappears without it, so such a kind has a high place.
   */
  readonly blame: number
  /** Nothing may be compiled without a row that is there but held back. Its absence would mean something else. */
  readonly needed?: boolean
  /** The ranges in which the compiler of a zone finds a row. */
  readonly index?: (row: TypedRow<Spec>, zone: string) => readonly IndexEntry[]
  /** The services of the row's mesh, and hosts as `@<hostname>`, that need a virtual address because of the row. */
  readonly names?: (row: Omit<TypedRow<Spec>, 'stamp'>, zone: string) => readonly string[]
  /** The Secrets of the row's mesh whose certificates zones need. */
  readonly secrets?: (spec: Spec) => readonly string[]
}

/** All that the rest of the system must know about a kind. Routes, admission, storage, sync and commands follow from it. */
export interface Kind {
  readonly name: string
  /** The collection in URLs, and other spellings of it. */
  readonly path: string
  readonly pathAliases: readonly string[]
  /** Kuma's short name, which resource identifiers begin with; empty where Kuma has none. */
  readonly shortName: string
  /** What people type on the command line beside the name where Kuma has no short name. */
  readonly commandName: string
  readonly title: { readonly singular: string; readonly plural: string }
  readonly scope: 'global' | 'mesh'
  /** `flat`: spec fields stand beside `type`; `nested`: below `spec`. */
  readonly layout: 'flat' | 'nested'
  readonly travel: Travel
  /** Where people may write it. A zone without a global owns every kind. */
  readonly writable: { readonly global: boolean; readonly zone: boolean }
  readonly adminOnly: boolean
  readonly isPolicy: boolean
  /** Kept out of the API, the command line and lists: the plane's own bookkeeping. */
  readonly internal: boolean
  /** Rows of another origin keep their own name on an API instead of the hashed one. */
  readonly fixedName: boolean
  /** For what people write: a field that is not known is refused. */
  readonly schema: z.ZodType
  /** The same for rows of other planes, which may be newer: a field that is not known is left out. */
  readonly peerSchema: z.ZodType
  /** Absent: nothing is compiled from rows of this kind. */
  readonly compiled: Compiled<never> | undefined
  /** Explanations read these rows too, although nothing is compiled from them. */
  readonly explained: boolean
  /** What the schema cannot say: rules between fields. Runs only on a spec that the schema accepts. */
  readonly check: (spec: never, context: CheckContext) => readonly Violation[]
  /** Fields that are stored but not served yet, each with a sentence for the writer. */
  readonly unserved: (spec: never) => readonly string[]
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
}

/** A kind whose functions know the type of its spec. */
export type KindOf<Schema extends z.ZodType> = Kind & {
  readonly schema: Schema
  readonly peerSchema: Schema
  readonly compiled: Compiled<z.infer<Schema>> | undefined
  readonly check: (spec: z.infer<Schema>, context: CheckContext) => readonly Violation[]
  readonly unserved: (spec: z.infer<Schema>) => readonly string[]
}

/** `MeshGatewayRoute` → `Mesh Gateway Route`. */
const words = (name: string): string => name.replace(/([a-z])([A-Z])/g, '$1 $2')

/** Describes a kind; what is left out gets the value that most kinds have. */
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
    ...options,
    compiled: options.compiled,
    peerSchema: tolerant(options.schema),
  }
}

/** snake_case to lowerCamelCase: the two spellings in which people write field names. */
const camel = (key: string): string => key.replace(/_([a-z0-9])/g, (_whole, letter: string) => letter.toUpperCase())

/** Edit distance, for "did you mean". Only ever called on short field names. */
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

/** The candidate nearest to a word, if one is near enough to be what was meant. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  const ranked = candidates
    .map((candidate) => ({ candidate, distance: editDistance(word.toLowerCase(), candidate.toLowerCase()) }))
    .sort((a, b) => a.distance - b.distance)
  const best = ranked[0]
  return best && best.distance <= Math.max(2, Math.floor(word.length / 3)) ? best.candidate : undefined
}

const unknownFieldSeparator = '\n'

/**
 * An object of a spec. Keys may be written in snake_case or lowerCamelCase and are kept in the latter; an unknown key is
 * refused with the nearest known one. Null stands for absent, as in YAML's `field:` without a value.
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

/** What a schema has found, with field paths as people write them. */
export function violationsOf(prefix: string, issues: readonly z.core.$ZodIssue[]): Violation[] {
  return issues.flatMap((issue) => {
    if (issue.code === 'unrecognized_keys') {
      const reasons = issue.message.split(unknownFieldSeparator)
      return issue.keys.map((key, index) => ({
        field: fieldPath(prefix, [...issue.path, key]),
        reason: reasons[index] ?? 'unknown field',
      }))
    }
    const reason = issue.message.replace(/^Invalid (input|option): /, '')
    if (issue.code === 'invalid_value') {
      return [{ field: fieldPath(prefix, issue.path), reason, choices: issue.values.map(String) }]
    }
    return [{ field: fieldPath(prefix, issue.path), reason }]
  })
}
