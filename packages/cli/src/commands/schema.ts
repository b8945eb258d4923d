import { jsonSchemaOf, schemaOfKind, schemaOfResources } from '@zonemesh/core/json-schema.ts'
import { defineCommand } from '../base/command.ts'
import { kindByWord } from '../resources/kinds.ts'
import { sceneSchema } from '../scene/scene-file.ts'

export const schema = defineCommand({
  name: 'schema',
  summary: 'print the JSON Schema of a kind, of all kinds, or of scene files, for editors and checks',
  usage: '[KIND|scene]',
  examples: ['zonemesh schema > zonemesh.schema.json', 'zonemesh schema meshgateway', 'zonemesh schema scene'],
  arity: { min: 0, max: 1 },
  options: {},
  async run(_values, { positionals, print }) {
    const [word] = positionals
    print(JSON.stringify(schemaFor(word), null, 2))
    return 0
  },
})

const schemaFor = (word: string | undefined) =>
  word === undefined
    ? schemaOfResources()
    : word === 'scene'
      ? jsonSchemaOf(sceneSchema)
      : schemaOfKind(kindByWord(word))
