import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { jsonSchemaOf, schemaOfResources } from '@zonemesh/core/json-schema.ts'
import { sceneSchema } from './scene-file.ts'

/**
 * Creates the data folder of a scene, which only its owner can read and which git ignores, because it will hold keys.
 * Writes the JSON Schemas of scene files and of resources into it. The first line of each file that `zonemesh init`
 * writes names one of them, so that editors complete and check its fields.
 */
export function prepareDataFolder(folder: string): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  for (const [name, text] of [
    ['.gitignore', '*'],
    ['scene.schema.json', JSON.stringify(jsonSchemaOf(sceneSchema))],
    ['resources.schema.json', JSON.stringify(schemaOfResources())],
  ] as const)
    writeFileSync(join(folder, name), `${text}\n`, { mode: 0o600 })
}
