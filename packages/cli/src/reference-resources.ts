import { schemaOfKind } from '@zonemesh/core/json-schema.ts'
import type { Kind } from '@zonemesh/core/kinds/kind.ts'
import { publicKinds } from '@zonemesh/core/registry.ts'
import { isJsonObject, type Json, type JsonObject } from '@zonemesh/shared/base/base.ts'

const head = `# Resources

\`npm run reference\` writes this page from the schemas of the kinds. Do not edit it. \`zonemesh schema\` prints the same schemas for editors. A field
without a default may be omitted, unless it is required. \`[]\` stands for each element of a list, and \`*\` for each key of a map.`

/** The reference of all kinds: where each is written, its fields, and an example. `examples`: YAML texts by kind. */
export function resourcesPage(examples: ReadonlyMap<string, string>): string {
  const sections = publicKinds.map(
    (kind) =>
      `## ${kind.name}\n\n${placeOf(kind)}\n\n| Field | Type | Default |\n|---|---|---|\n${rowsOf(kind).join('\n')}\n\n\`\`\`yaml\n${examples.get(kind.name) ?? ''}\`\`\``,
  )
  return `${[head, ...sections].join('\n\n')}\n`
}

function placeOf({ scope, writable, path }: Kind): string {
  const where = [writable.global ? 'the global' : '', writable.zone ? 'a zone' : ''].filter(Boolean).join(' and ')
  const url = scope === 'mesh' ? `/meshes/{mesh}/${path}/{name}` : `/${path}/{name}`
  return `Written on ${where}. API: \`${url}\`.`
}

const hidden = new Set(['type', 'mesh', 'name', 'labels', 'creationTime', 'modificationTime', 'kri'])

function rowsOf(kind: Kind): readonly string[] {
  const schema = schemaOfKind(kind)
  const shown = Object.entries(objectOf(schema['properties'])).filter(([name]) => !hidden.has(name))
  return fieldsOf({ ...schema, properties: Object.fromEntries(shown) })
}

/** The lines of a table with all fields of an object: path, type, default. */
export const fieldsOf = ({ properties, required }: JsonObject): readonly string[] =>
  Object.entries(objectOf(properties)).flatMap(([name, schema]) =>
    fieldRows(name, objectOf(schema), listOf(required).includes(name)),
  )

/** A field, and the fields below it. */
function fieldRows(path: string, schema: JsonObject, isRequired: boolean): readonly string[] {
  const standard = schema['default'] === undefined ? '' : `\`${JSON.stringify(schema['default'])}\``
  const row = `| \`${path}\` | ${typeText(schema)}${isRequired ? ', required' : ''} | ${standard} |`
  const { properties, required, items, additionalProperties } = schema
  return [
    row,
    ...Object.entries(objectOf(properties)).flatMap(([name, below]) =>
      fieldRows(`${path}.${name}`, objectOf(below), listOf(required).includes(name)),
    ),
    ...(hasFields(items) ? fieldRows(`${path}[]`, objectOf(items), false).slice(1) : []),
    ...(hasFields(additionalProperties) ? fieldRows(`${path}.*`, objectOf(additionalProperties), false).slice(1) : []),
  ]
}

const hasFields = (schema: Json | undefined): boolean =>
  Object.keys(objectOf(objectOf(schema)['properties'])).length > 0

function typeText(schema: JsonObject): string {
  const { type, enum: values, const: only, anyOf, items } = schema
  if (only !== undefined) return `\`${String(only)}\``
  if (Array.isArray(values)) return values.map((one) => `\`${one === '' ? '""' : String(one)}\``).join(', ')
  if (Array.isArray(anyOf)) return [...new Set(anyOf.map((one) => typeText(objectOf(one))))].join(' or ')
  if (type === 'array') return `list of ${typeText(objectOf(items))}`
  if (type === 'object') return schema['properties'] === undefined ? 'map' : 'object'
  if (Array.isArray(type)) return type.filter((one) => one !== 'null').join(' or ')
  return typeof type === 'string' ? type : 'any value'
}

const objectOf = (value: Json | undefined): JsonObject => (isJsonObject(value) ? value : {})

const listOf = (value: Json | undefined): readonly Json[] => (Array.isArray(value) ? value : [])

/** The documents of a YAML file, by kind, as texts. Comments before the first document are left out. */
export function examplesOf(text: string): ReadonlyMap<string, string> {
  const documents = text.split(/^---\n/m).map((one) => one.replace(/^#.*\n/gm, ''))
  return new Map(documents.map((one) => [/^type: (\w+)$/m.exec(one)?.[1] ?? '', one]))
}
