import { isJsonObject, type JsonObject } from '@zonemesh/shared/base/base.ts'
import { z } from 'zod'
import type { Kind } from './kinds/kind.ts'
import { publicKinds } from './registry.ts'

const draft = 'https://json-schema.org/draft/2020-12/schema'

/** The fields of a resource beside its spec. Planes fill in the last three; users need not write them. */
const envelope: JsonObject = {
  name: { type: 'string', minLength: 1, description: 'the name, unique in its mesh' },
  labels: { type: 'object', additionalProperties: { type: 'string' } },
  creationTime: { type: 'string' },
  modificationTime: { type: 'string' },
  kri: { type: 'string' },
}

/** A zod schema as JSON Schema, for values as users write them. What JSON Schema cannot express is left open. */
export function jsonSchemaOf(schema: z.ZodType): JsonObject {
  const { $schema: _, $defs: _recursive, ...rest } = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' })
  // The only recursive schema is that of any JSON value, which `{}` accepts as well. zod returns plain JSON.
  return JSON.parse(JSON.stringify(rest).replaceAll(/\{"\$ref":"#\/\$defs\/[^"]*"\}/g, '{}'))
}

/** The JSON Schema of one kind, as a YAML document of it. */
export function schemaOfKind({ name, scope, layout, schema }: Kind): JsonObject {
  const spec = jsonSchemaOf(schema)
  const head: JsonObject = {
    type: { const: name },
    ...(scope === 'mesh'
      ? { mesh: { type: 'string', description: 'the mesh it belongs to', default: 'default' } }
      : {}),
    ...envelope,
  }
  const flat = layout === 'flat'
  const fields = flat && isJsonObject(spec['properties']) ? spec['properties'] : { spec }
  const required = flat && Array.isArray(spec['required']) ? spec['required'] : []
  const { properties: _properties, required: _required, type: _type, additionalProperties: _open, ...more } = spec
  return {
    title: name,
    type: 'object',
    required: ['type', 'name', ...required],
    additionalProperties: false,
    properties: { ...head, ...fields },
    ...(flat ? more : {}),
  }
}

/** One JSON Schema for the documents of all kinds: the field `type` selects the kind. */
export function schemaOfResources(): JsonObject {
  return {
    $schema: draft,
    title: 'A resource of Zonemesh',
    type: 'object',
    required: ['type'],
    properties: { type: { enum: publicKinds.map(({ name }) => name) } },
    allOf: publicKinds.map((kind) => ({
      if: { properties: { type: { const: kind.name } } },
      // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema, in an object that is never awaited
      then: { $ref: `#/$defs/${kind.name}` },
    })),
    $defs: Object.fromEntries(publicKinds.map((kind) => [kind.name, schemaOfKind(kind)])),
  }
}
