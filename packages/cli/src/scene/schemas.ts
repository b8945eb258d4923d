import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { jsonSchemaOf, schemaOfResources } from '@zonemesh/core/json-schema.ts'
import { sceneSchema } from './scene-file.ts'

/**
 * Writes the JSON Schemas of scene files and of resources into a data folder. The first line of each file that
 * `zonemesh init` writes names one of them, so that editors complete and check its fields.
 */
export function writeSchemas(folder: string): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  for (const [name, schema] of [
    ['scene', jsonSchemaOf(sceneSchema)],
    ['resources', schemaOfResources()],
  ] as const)
    writeFileSync(join(folder, `${name}.schema.json`), `${JSON.stringify(schema)}\n`, { mode: 0o600 })
}
