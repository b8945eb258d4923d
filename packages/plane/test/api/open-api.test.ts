import { readFileSync } from 'node:fs'
import { Validator } from '@seriousme/openapi-schema-validator'
import { openApi, templateOf } from '@zonemesh/plane/api/open-api.ts'
import type { About } from '@zonemesh/plane/api/route.ts'
import { declareRoutes } from '@zonemesh/plane/api/routes.ts'
import { isJsonObject, type Json, type JsonObject } from '@zonemesh/shared/base/base.ts'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { expect, test } from 'vitest'
import { parseAllDocuments } from 'yaml'
import { createRoutes, write } from './routes.ts'
import { remote, serve } from './serve.ts'

const routes = declareRoutes()
const document = openApi(routes)

const at = (value: Json | undefined, ...path: readonly string[]): JsonObject => {
  const found = path.reduce((now, key) => (isJsonObject(now) ? now[key] : undefined), value)
  return isJsonObject(found) ? found : {}
}

/** The operations of the document, as `GET /meshes/{mesh}`. */
const operations = Object.entries(at(document, 'paths')).flatMap(([path, item]) =>
  Object.entries(at(item)).map(([method, operation]) => ({
    name: `${method.toUpperCase()} ${path}`,
    operation: at(operation),
  })),
)

test('R80 the description of the API is a valid OpenAPI 3.1 document, and each reference and name in it is unique and resolved', async () => {
  const validator = new Validator()
  // The validator changes its input.
  expect(await validator.validate(structuredClone(document))).toMatchObject({ valid: true })
  expect(validator.version).toBe('3.1')
  const schemas = at(document, 'components', 'schemas')
  const references = [...JSON.stringify(document).matchAll(/"#\/components\/schemas\/(\w+)"/g)].map(([, name]) => name)
  expect(references.length).toBeGreaterThan(100)
  expect(references.filter((name) => !(name ?? '' in schemas))).toEqual([])
  const ids = operations.map(({ operation }) => operation['operationId'])
  expect(ids.filter((id, index) => ids.indexOf(id) !== index)).toEqual([])
})

test('R81 both planes serve the description under /openapi.json, and it has exactly the routes that the server has registered', async () => {
  for (const plane of [{}, { role: 'zone', origin: 'east' } as const]) {
    await using api = await serve(plane)
    const { status, json } = await api.call('GET', '/openapi.json', undefined, remote)
    expect([status, json]).toEqual([200, document])
    const registered = api.server.routes.map(({ method, path }) => `${method} ${templateOf(path)}`)
    expect(registered.length).toBeGreaterThan(100)
    expect(registered.sort()).toEqual(operations.map(({ name }) => name).sort())
  }
})

const texts = parseAllDocuments(
  readFileSync(new URL('../../../../docs/examples/resources.yaml', import.meta.url), 'utf8'),
)
const examples: readonly Record<string, string>[] = texts.map((text) => text.toJS()).filter(Boolean)

/** The example of the kind of a route. */
function exampleOf({ body, answers }: About): Record<string, string> | undefined {
  const shape = body ?? answers[200]?.shape
  return shape?.type === 'resource' ? examples.find(({ type }) => type === shape.kind.name) : undefined
}

const urlOf = (path: string, example: Record<string, string> | undefined): string =>
  path
    .replace(':mesh', 'default')
    .replace(':name', example?.['name'] ?? 'absent')
    .replace(':revision', 'a@1.1')

/** A stream of events does not end by itself. */
const isStream = ({ answers }: About): boolean => answers[200]?.shape.type === 'events'

test('R82 a route refuses other callers as its description states', async () => {
  await using api = await serve()
  await using closed = await serve({ anonymousRules: { anonymous: 'none', isOwnHost: () => true } })
  const wrong: object[] = []
  for (const { method, path, about } of routes.filter((one) => !isStream(one.about))) {
    const example = exampleOf(about)
    const url = urlOf(path, example)
    const body = method === 'GET' ? undefined : (example ?? (path === '/_commit' ? { documents: examples } : {}))
    const open = await api.call(method, url, body, remote)
    // A commit refuses each document by itself.
    const isRefused = open.status === 403 || JSON.stringify(open.json?.outcomes ?? '').includes('cannot write')
    const isUnknown = (await closed.call(method, url, body, remote)).status === 401
    const found = isRefused ? 'administrators' : isUnknown ? 'readers' : 'anyone'
    if (found !== about.access || isUnknown !== (about.access !== 'anyone'))
      wrong.push({ method, path, found, status: open.status, detail: open.json?.detail })
  }
  expect(wrong).toEqual([])
})

const ajv = new Ajv2020({ strict: false, allErrors: true })
ajv.addSchema({ $id: 'api', ...document })

/** What a body has that the schema at this place of the document does not allow. */
function faultsOf(path: readonly string[], body: unknown): readonly string[] {
  const pointer = path.map((key) => encodeURIComponent(key.replaceAll('~', '~0').replaceAll('/', '~1'))).join('/')
  const isValid = ajv.getSchema(`api#/${pointer}`)
  if (!isValid) throw new Error(`no schema at ${pointer}`)
  return isValid(body) ? [] : [`${path[1]}: ${ajv.errorsText(isValid.errors)}`]
}

test('R83 requests and answers have the schemas of the description', async () => {
  const { plane, call } = await createRoutes({ role: 'standalone', origin: 'east' })
  await write(plane, [{ origin: 'east', kind: 'Timeout', mesh: 'default', name: 'broken', spec: { conf: 5 } }])
  const faults: string[] = []
  const json = ['content', 'application/json', 'schema']
  for (const { path, about } of routes.filter(({ method }) => method === 'PUT')) {
    const example = exampleOf(about)
    faults.push(...faultsOf(['paths', templateOf(path), 'put', 'requestBody', ...json], example))
    const { status, json: written } = await call('PUT', urlOf(path, example), example)
    expect([path, status, written.detail]).toEqual([path, expect.toBeOneOf([200, 201]), undefined])
    faults.push(...faultsOf(['paths', templateOf(path), 'put', 'responses', String(status), ...json], written))
  }
  for (const { path, about } of routes.filter((one) => one.method === 'GET' && !isStream(one.about))) {
    const { status, json: body } = await call('GET', urlOf(path, exampleOf(about)))
    const place = status === 200 ? '200' : 'default'
    faults.push(...faultsOf(['paths', templateOf(path), 'get', 'responses', place, ...json], body))
  }
  const commit = await call('POST', '/_commit', { documents: [examples[0], { type: 'Nothing' }] })
  expect(commit.status).toBe(207)
  faults.push(...faultsOf(['paths', '/_commit', 'post', 'responses', '207', ...json], commit.json))
  const broken = await call('GET', '/meshes/default/timeouts/broken')
  faults.push(...faultsOf(['paths', '/meshes/{mesh}/timeouts/{name}', 'get', 'responses', '200', ...json], broken.json))
  expect(faults).toEqual([])
})
