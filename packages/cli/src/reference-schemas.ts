import { jsonSchemaOf, schemaOfResources } from '@zonemesh/core/json-schema.ts'
import { sceneSchema } from './scene/scene-file.ts'

const text = (schema: object): string => `${JSON.stringify(schema, null, 1)}\n`

/** The schemas that the examples of the repository name, by path. */
export const schemaFiles = (): ReadonlyMap<string, string> =>
  new Map([
    ['docs/schemas/resources.schema.json', text(schemaOfResources())],
    ['docs/schemas/scene.schema.json', text(jsonSchemaOf(sceneSchema))],
  ])
