import { readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { expect, test } from 'vitest'
import { parseAllDocuments } from 'yaml'
import { admit } from '../src/admit/admit.ts'
import { schemaOfKind, schemaOfResources } from '../src/json-schema.ts'
import { publicKinds } from '../src/registry.ts'

const root = resolve(import.meta.dirname, '../../..')

const secrets = [
  { type: 'Secret', mesh: 'default', name: 'a', data: 'YQ==' },
  { type: 'GlobalSecret', name: 'a', data: 'YQ==' },
].map((content) => ({ name: 'this test', content }))

/** The resources in the YAML files of these folders, with the file of each, and those that no file has. */
const written = ['scenes', 'test/golden'].flatMap((folder) =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.yaml') && !name.endsWith('zonemesh.yaml'))
    .flatMap((name) =>
      parseAllDocuments(readFileSync(join(root, folder, name), 'utf8')).map((one) => ({ name, content: one.toJS() })),
    ),
)

const documents = [...written, ...secrets]

const ajv = new Ajv2020({ strict: false, allErrors: true })
const isValid = ajv.compile(schemaOfResources())

test('A16 the JSON Schema of resources accepts the documents that admission accepts', () => {
  const admitted = documents.filter(({ content }) => admit(content).ok && typeof content['type'] === 'string')
  const kinds = new Set(admitted.map(({ content }) => content['type']))
  expect(publicKinds.map(({ name }) => name).filter((name) => !kinds.has(name))).toEqual([])
  const refused = admitted.flatMap(({ name, content }) =>
    isValid(content) ? [] : [{ name, errors: ajv.errorsText(isValid.errors) }],
  )
  expect(refused).toEqual([])
})

test.each([
  ['an unknown kind', { type: 'Meshh', name: 'a' }],
  ['an unknown field', { type: 'Timeout', mesh: 'default', name: 'a', sources: [], destinations: [], con: {} }],
  ['an unknown nested field', { type: 'MeshGateway', name: 'a', selectors: [], conf: { listener: [] } }],
  ['a field of another type', { type: 'Zone', name: 'a', enabled: 'maybe' }],
  ['a missing name', { type: 'Mesh' }],
])('A16 the JSON Schema of resources refuses %s', (_, content) => {
  expect(isValid(content)).toBe(false)
})

test('A16 the JSON Schema of a kind is complete without the others', () => {
  for (const kind of publicKinds) expect(ajv.compile(schemaOfKind(kind))({ type: kind.name }), kind.name).toBe(false)
})
