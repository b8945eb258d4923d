import { jsonSchemaOf, schemaOfKind } from '@zonemesh/core/json-schema.ts'
import type { Kind } from '@zonemesh/core/kinds/kind.ts'
import { publicKinds } from '@zonemesh/core/registry.ts'
import { adminScheme } from '@zonemesh/shared/auth/admin-proof.ts'
import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import { version } from '@zonemesh/shared/base/version.ts'
import { z } from 'zod'
import { violation } from './answers.ts'
import { errorAnswer } from './errors.ts'
import { type Access, type DeclaredRoute, groups } from './route.ts'
import type { Shape } from './shape.ts'

/** The OpenAPI 3.1 document of these routes. */
export function openApi(routes: readonly DeclaredRoute[]): JsonObject {
  return {
    openapi: '3.1.0',
    info: {
      title: 'Zonemesh',
      version,
      description: 'The REST API of the control planes of Zonemesh. Every plane has all routes.',
      license: { name: 'Apache 2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/' }],
    tags: groups.map((name) => ({ name })),
    paths: pathsOf(routes),
    components: {
      schemas: {
        ...Object.fromEntries(publicKinds.map((kind) => [kind.name, schemaOfKind(kind)])),
        Unparsed: jsonSchemaOf(unparsedResource),
        Error: jsonSchemaOf(errorAnswer),
      },
      securitySchemes: {
        token: { type: 'http', scheme: 'bearer', description: 'a user token: `zonemesh token user`' },
        adminKey: {
          type: 'http',
          scheme: adminScheme,
          description: 'a proof that the caller reads `admin.key`; commands of the user who runs the plane send it',
        },
      },
    },
  }
}

function pathsOf(routes: readonly DeclaredRoute[]): JsonObject {
  const paths = new Map<string, JsonObject>()
  for (const route of routes) {
    const path = templateOf(route.path)
    paths.set(path, { ...paths.get(path), [route.method.toLowerCase()]: operationOf(route) })
  }
  return Object.fromEntries(paths)
}

/** A path as OpenAPI writes it: `/meshes/{mesh}`. */
export const templateOf = (path: string): string => path.replace(/:(\w+)/g, '{$1}')

function operationOf({ method, path, about }: DeclaredRoute): JsonObject {
  const { group, summary, access, query = {}, body, answers, aliasOf } = about
  const parameters = [
    ...[...path.matchAll(/:(\w+)/g)].map(([, name = '']) => ({ ...stringIn('path', name), required: true })),
    ...Object.entries(query).map(([name, description]) => ({ ...stringIn('query', name), description })),
  ]
  return {
    operationId: operationId(method, path),
    tags: [group],
    summary,
    ...(aliasOf === undefined
      ? {}
      : { deprecated: true, description: `Another path of \`${templateOf(aliasOf)}\`, for older clients.` }),
    security: securityOf(access),
    ...(parameters.length > 0 ? { parameters } : {}),
    ...(body ? { requestBody: { required: body.type === 'resource', content: contentOf(body, 'body') } } : {}),
    responses: {
      ...Object.fromEntries(
        Object.entries(answers).map(([status, { what, shape }]) => [
          status,
          { description: what, content: contentOf(shape, status === '400' ? 'refusal' : 'answer') },
        ]),
      ),
      default: {
        description: 'The request is refused or fails.',
        content: { 'application/json': { schema: reference('Error') } },
      },
    },
  }
}

const stringIn = (place: 'path' | 'query', name: string): JsonObject => ({
  name,
  in: place,
  schema: { type: 'string' },
})

/** `GET /meshes/:mesh/_overview` → `getMeshesByMeshOverview`: unique, because each word of the path is in it. */
const operationId = (method: string, path: string): string =>
  [method.toLowerCase(), ...path.replaceAll(':', 'by ').split(/[^A-Za-z]+/)]
    .filter(Boolean)
    .map((word, index) => (index === 0 ? word : `${word.slice(0, 1).toUpperCase()}${word.slice(1)}`))
    .join('')

function securityOf(access: Access): JsonObject[] {
  const known = [{ token: [] }, { adminKey: [] }]
  switch (access) {
    case 'anyone':
      return [{}]
    case 'readers':
      return [{}, ...known]
    case 'administrators':
      return known
  }
}

const contentOf = (shape: Shape, place: Place): JsonObject =>
  shape.type === 'text' || shape.type === 'events'
    ? { [shape.type === 'text' ? 'text/plain' : 'text/event-stream']: { schema: { type: 'string' } } }
    : { 'application/json': { schema: schemaOf(shape, place) } }

/** Where a shape is: an answer with a resource may contain one that cannot be parsed, and a 400 may be an error. */
type Place = 'body' | 'answer' | 'refusal'

const reference = (name: string): JsonObject => ({ $ref: `#/components/schemas/${name}` })

function schemaOf(shape: Exclude<Shape, { type: 'text' | 'events' }>, place: Place): JsonObject {
  switch (shape.type) {
    case 'schema': {
      const schema = jsonSchemaOf(shape.schema)
      return place === 'refusal' ? { anyOf: [schema, reference('Error')] } : schema
    }
    case 'resource':
      return place === 'body' ? reference(shape.kind.name) : shownOf(shape.kind)
    case 'page':
      return pageOf(shape.kind ? shownOf(shape.kind) : { type: 'object' })
  }
}

const shownOf = ({ name }: Kind): JsonObject => ({ anyOf: [reference(name), reference('Unparsed')] })

const pageOf = (items: JsonObject): JsonObject => ({
  type: 'object',
  required: ['total', 'items', 'next'],
  properties: {
    total: { type: 'integer', description: 'the items of all pages' },
    items: { type: 'array', items },
    next: { type: ['string', 'null'], description: 'the URL of the next page' },
  },
})

/** A resource of another plane that this plane cannot parse. */
const unparsedResource = z.looseObject({
  type: z.string(),
  mesh: z.string().optional(),
  name: z.string(),
  unparsed: z.array(violation),
})
