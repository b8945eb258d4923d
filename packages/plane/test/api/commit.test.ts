import type { ReceiptWait } from '@zonemesh/plane/api/plane.ts'
import { positionText } from '@zonemesh/shared/store/store.ts'
import { expect, test } from 'vitest'
import { createPair } from '../pki.ts'
import { createCaller, createRoutes, timeout, write } from './routes.ts'

const timeouts = (count: number) => Array.from({ length: count }, (_, index) => timeout(`t${index}`))
const outcomesOf = ({ json }: { json: { outcomes: { outcome: string }[] } }) => json.outcomes.map((one) => one.outcome)

test('R14 a call has at most 1,000 documents, 1,000 deletions and 200 characters of intent', async () => {
  const { call } = await createRoutes()
  const commit = (body: object) => call('POST', '/_commit', { documents: [], ...body })
  const absent = (count: number) => Array.from({ length: count }, () => ({ type: 'Timeout', name: 'none' }))
  // These lists are within the limits; the documents themselves are refused.
  expect(outcomesOf(await commit({ documents: Array(1000).fill(1) }))).toEqual(Array(1000).fill('refused'))
  expect(outcomesOf(await commit({ deletions: absent(1000) }))).toEqual(Array(1000).fill('refused'))
  expect((await commit({ intent: 'x'.repeat(200) })).json.outcomes).toEqual([])
  for (const [body, detail] of [
    [{ documents: Array(1001).fill(1) }, 'documents: at most 1,000 documents'],
    [{ deletions: absent(1001) }, 'deletions: at most 1,000 deletions'],
    [{ intent: 'x'.repeat(201) }, expect.stringMatching(/^intent: /)],
    [{ documents: 1, atomic: 1 }, expect.stringMatching(/^documents: .*; atomic: /)],
  ] as const)
    expect(await commit(body)).toMatchObject({ status: 400, json: { title: 'Bad Request', detail } })
})

test('R14 one commit has at most 1,000 changes, deletions included', async () => {
  const { call, plane } = await createRoutes()
  const commit = (body: object) => call('POST', '/_commit', body)
  expect(await commit({ documents: timeouts(1000) })).toMatchObject({ status: 200 })
  const { revision } = await plane.store.head()
  const deletions = timeouts(1).map(({ type, mesh, name }) => ({ type, mesh, name }))
  const documents = timeouts(1001).slice(1)
  expect(await commit({ documents, deletions })).toMatchObject({
    status: 400,
    json: { detail: 'this commit has 1001 changes, more than 1000: send it in several commits' },
  })
  expect((await plane.store.head()).revision).toBe(revision)
})

test('R14 each outcome names its document by index, type, mesh and name', async () => {
  const { call } = await createRoutes()
  const { status, json } = await call('POST', '/_commit', {
    documents: [
      null,
      'text',
      { kind: 'Timeout', mesh: 5, name: 'k' },
      timeout('t', '1s', 'nowhere'),
      timeout('bad', 'soon'),
      { type: 'Mesh', name: '1st' },
      timeout('good'),
    ],
  })
  expect(status).toBe(207)
  const refused = { outcome: 'refused', detail: expect.any(String) }
  const [violations, warnings] = [expect.any(Array), [expect.stringContaining('is not a DNS label')]]
  expect(json.outcomes).toEqual([
    { index: 0, type: '', name: '', ...refused },
    { index: 1, type: '', name: '', ...refused },
    { index: 2, type: 'Timeout', name: 'k', ...refused, violations },
    { index: 3, type: 'Timeout', mesh: 'nowhere', name: 't', ...refused },
    { index: 4, type: 'Timeout', mesh: 'default', name: 'bad', ...refused, violations },
    { index: 5, type: 'Mesh', name: '1st', outcome: 'created', warnings },
    { index: 6, type: 'Timeout', mesh: 'default', name: 'good', outcome: 'created' },
  ])
})

test('R14 the status is 200, 207 or 400 if all, some or no changes are accepted, and the revision is that of the commit', async () => {
  const { call, plane } = await createRoutes()
  const commit = async (body: object) => {
    const answer = await call('POST', '/_commit', { documents: [], ...body })
    const revision = positionText(await plane.store.head())
    expect(answer.json.revision).toBe(revision)
    expect(answer.headers['Zonemesh-Revision']).toBe(revision)
    return [answer.status, ...outcomesOf(answer)]
  }
  const none = { type: 'Timeout', name: 'none' }
  expect(await commit({ documents: [timeout('a'), timeout('b')] })).toEqual([200, 'created', 'created'])
  expect(await commit({ documents: [timeout('a'), timeout('b', '2s')] })).toEqual([200, 'unchanged', 'updated'])
  expect(await commit({ documents: [timeout('a')], deletions: [none] })).toEqual([207, 'unchanged', 'refused'])
  expect(await commit({ documents: [{}], deletions: [timeout('a')] })).toEqual([207, 'refused', 'deleted'])
  expect(await commit({ documents: [{}], deletions: [none] })).toEqual([400, 'refused', 'refused'])
  const atomic = { atomic: true, documents: [{}, timeout('b')], deletions: [timeout('b', '1s')] }
  expect(await commit(atomic)).toEqual([400, 'refused', 'skipped', 'refused'])
  expect(await commit({ ...atomic, documents: [{}] })).toEqual([400, 'refused', 'skipped'])
  expect(await commit({ ...atomic, documents: [] })).toEqual([200, 'deleted'])
})

test('R20 a mesh and its resources are accepted in one commit, in any order', async () => {
  const { call } = await createRoutes()
  const documents = [timeout('t', '1s', 'new'), { type: 'Mesh', name: 'new' }, timeout('u', '1s', 'new')]
  const answer = await call('POST', '/_commit', { documents })
  expect([answer.status, ...outcomesOf(answer)]).toEqual([200, 'created', 'created', 'created'])
})

test('R14 a call without documents writes nothing, and needs the rights of a commit too', async () => {
  const { call } = await createRoutes()
  expect(await call('POST', '/_commit', { documents: [] })).toMatchObject({ status: 200, json: { outcomes: [] } })
  const reader = { name: 'ada', groups: ['mesh-system:authenticated'] }
  expect((await call('POST', '/_commit', { documents: [] }, { user: reader })).status).toBe(403)
})

test('R14 the intent of a call without one is "apply"', async () => {
  const { call, plane } = await createRoutes()
  await call('POST', '/_commit', { documents: [timeout('a')] })
  await call('POST', '/_commit', { documents: [timeout('b')], intent: 'try' })
  const records = await plane.store.records({ after: 0, limit: 10 })
  expect(records.slice(-2).map(({ intent, subject }) => [intent, subject])).toEqual([
    ['apply', 'mesh-system:admin'],
    ['try', 'mesh-system:admin'],
  ])
})

test('R14 a call that contains a resource twice writes the first one only', async () => {
  const { call } = await createRoutes()
  const answer = await call('POST', '/_commit', { documents: [timeout('a', '1s'), timeout('a', '2s')] })
  expect(answer.json.outcomes).toMatchObject([
    { outcome: 'created' },
    { outcome: 'refused', detail: 'one commit contains the same resource twice' },
  ])
  expect((await call('GET', '/meshes/default/timeouts/a')).json.conf.connectTimeout).toBe('1s')
})

test('R14 two documents with the same inline key write its secret once', async () => {
  const { call, plane } = await createRoutes()
  const { certificate, key } = await createPair({ names: ['shop.example'] })
  const tls = { mode: 'TERMINATE', certificates: [{ inlineString: certificate + key }] }
  const gateway = (name: string) => ({
    ...{ type: 'MeshGateway', mesh: 'default', name, selectors: [{ match: { 'kuma.io/service': name } }] },
    conf: { listeners: [{ port: 8443, protocol: 'HTTPS', hostname: 'shop.example', tls }] },
  })
  const answer = await call('POST', '/_commit', { documents: [gateway('a'), gateway('b')] })
  expect([answer.status, ...outcomesOf(answer)]).toEqual([200, 'created', 'created'])
  expect(await plane.store.scan({ kind: 'Secret' })).toHaveLength(1)
})

test('R14 a failure of the store is no refusal of one document', async () => {
  const { call, plane } = await createRoutes()
  const failing = { ...plane, store: { ...plane.store, get: () => Promise.reject(new Error('the disk failed')) } }
  await expect(createCaller(failing)('POST', '/_commit', { documents: [timeout('a')] })).rejects.toThrow('disk')
  expect((await call('GET', '/meshes/default/timeouts')).json.total).toBe(0)
})

test('R22 a declared removal is marked as declared in the log', async () => {
  const { call, plane } = await createRoutes()
  const rows = timeouts(11).map(({ name }) => ({ origin: 'global', kind: 'Timeout', mesh: 'default', name }))
  await write(plane, rows)
  const deletions = rows.map(({ kind, name }) => ({ type: kind, name }))
  expect((await call('POST', '/_commit', { documents: [], deletions })).status).toBe(409)
  expect((await call('POST', '/_commit', { documents: [], deletions, declared: true })).status).toBe(200)
  const [version] = await plane.store.history({ origin: 'global', kind: 'Timeout', mesh: 'default', name: 't0' })
  expect(version).toMatchObject({ state: 'deleted', declared: true })
})

type ReceiptArguments = readonly [string, ReceiptWait['zones'], number]

test.each<[string, ReceiptArguments]>([
  ['', ['served', 'online', 0]],
  ['wait=stored@all', ['stored', 'online', 0]],
  ['wait=applied@all', ['served', 'online', 0]],
  ['wait=served@online', ['served', 'online', 0]],
  ['wait=served@every', ['served', 'every', 0]],
  ['wait=served@east,west&timeout=5s', ['served', ['east', 'west'], 5_000]],
  ['timeout=5m', ['served', 'online', 300_000]],
  ['timeout=301s', ['served', 'online', 300_000]],
])('R16 a receipt waits for a level in zones for at most 5 minutes: %s', async (query, expected) => {
  const asked: ReceiptArguments[] = []
  const receipt = async ({ revision, level, zones, timeoutMs }: ReceiptWait) => {
    asked.push([level, zones, timeoutMs])
    return { revision: String(revision), level, complete: true, zones: [] }
  }
  const { call, plane } = await createRoutes({ receipt })
  const position = encodeURIComponent(positionText(await plane.store.head()))
  const answer = await call('GET', `/_receipts/${position}?${query}`)
  expect([answer.status, answer.json.revision]).toEqual([200, '1'])
  expect(asked).toEqual([expected])
  // The revision of an event.
  expect((await call('GET', `/_receipts/@1?${query}`)).json).toEqual(answer.json)
})

test.each<[string, string, number, RegExp]>([
  ['no revision', 'x', 400, /expected a revision in the form/],
  ['a revision that is not written yet', '@99', 404, /does not contain this commit/],
  ['a revision of another store', 'other@1.0123456789abcdef', 404, /does not contain this commit/],
  ['a level that does not exist', '?wait=seen@all', 400, /^wait must be/],
  ['a timeout without a unit', '?timeout=5', 400, /^timeout: expected a duration such as 30s, 12h, 30d, found "5"$/],
])('R16 a request for a receipt is refused: %s', async (_title, text, status, detail) => {
  const { call, plane } = await createRoutes()
  const own = encodeURIComponent(positionText(await plane.store.head()))
  const answer = await call('GET', `/_receipts/${text.startsWith('?') ? own + text : encodeURIComponent(text)}`)
  expect(answer.status).toBe(status)
  expect(answer.json.detail).toMatch(detail)
})
