import { expect, test } from 'vitest'
import { createRoutes, timeout } from './routes.ts'

const secret = (text: string) => ({
  type: 'Secret',
  mesh: 'default',
  name: 's',
  data: Buffer.from(text).toString('base64'),
})
const named = (name: string) => ({ type: 'Timeout', mesh: 'default', name })

test('R70 a dry run of a commit judges everything, says what would change, and writes nothing', async () => {
  const { call, plane } = await createRoutes()
  await call('POST', '/_commit', {
    documents: [timeout('a', '1s'), timeout('b', '1s'), timeout('c', '1s'), secret('x')],
  })
  const { revision } = await plane.store.head()
  const documents = [timeout('a', '2s'), timeout('b', '1s'), timeout('n'), timeout('bad', 'soon'), secret('x')]
  const { status, json } = await call('POST', '/_commit', { documents, deletions: [named('c')], dryRun: true })
  expect(status).toBe(207)
  expect(json).toMatchObject({ dryRun: true, massRemovals: [] })
  expect(json.revision).toMatch(new RegExp(`@${revision}\\.`))
  expect(json.outcomes).toMatchObject([
    {
      outcome: 'updated',
      before: { conf: { connectTimeout: '1s' } },
      after: { conf: { connectTimeout: '2s' } },
      fields: [{ field: 'conf.connectTimeout', before: '1s', after: '2s' }],
    },
    { name: 'b', outcome: 'unchanged' },
    { name: 'n', outcome: 'created', after: { name: 'n' } },
    { name: 'bad', outcome: 'refused', violations: [{ field: 'conf.connectTimeout' }] },
    { type: 'Secret', outcome: 'unchanged' },
    { name: 'c', outcome: 'deleted', before: { name: 'c' } },
  ])
  expect((await plane.store.head()).revision).toBe(revision)
})

test('R70 a dry run shows no data of a secret, and names the removals that must be confirmed', async () => {
  const { call } = await createRoutes()
  const names = Array.from({ length: 20 }, (_, index) => `t${index}`)
  await call('POST', '/_commit', { documents: [...names.map((name) => timeout(name)), secret('old')] })
  const body = { documents: [secret('new')], deletions: names.map(named), dryRun: true }
  const { status, json } = await call('POST', '/_commit', body)
  expect([status, json.massRemovals]).toEqual([200, [{ kind: 'Timeout', removed: 20, total: 20 }]])
  expect(JSON.stringify(json)).not.toContain(Buffer.from('old').toString('base64'))
  expect(JSON.stringify(json)).not.toContain(Buffer.from('new').toString('base64'))
})

test('R70 a dry run needs the same rights as the commit', async () => {
  const { call } = await createRoutes()
  const user = { name: 'reader', groups: [] }
  const { status, json } = await call('POST', '/_commit', { documents: [timeout('a')], dryRun: true }, { user })
  expect([status, json.outcomes[0].outcome]).toEqual([400, 'refused'])
  expect(json.outcomes[0].detail).toMatch(/cannot write/)
})

test('R70 PUT and DELETE with dry_run say what they would change, and write nothing', async () => {
  const { call, plane } = await createRoutes()
  const path = '/meshes/default/timeouts/a'
  await call('PUT', path, timeout('a', '1s'))
  const { revision } = await plane.store.head()
  expect(await call('PUT', `${path}?dry_run=true`, timeout('a', '2s'))).toMatchObject({
    status: 200,
    json: { dryRun: true, outcome: 'updated', fields: [{ field: 'conf.connectTimeout', before: '1s', after: '2s' }] },
  })
  expect((await call('PUT', `${path}?dry_run=true`, timeout('a', '1s'))).json.outcome).toBe('unchanged')
  expect((await call('PUT', `${path}?dry_run=true`, timeout('a', 'soon'))).status).toBe(400)
  expect((await call('DELETE', `${path}?dry_run=true`)).json).toMatchObject({
    outcome: 'deleted',
    before: { name: 'a' },
  })
  for (const method of ['PUT', 'DELETE'] as const)
    expect(await call(method, `${path}?dry_run=yes`, timeout('a', '2s'))).toMatchObject({
      status: 400,
      json: { detail: 'dry_run: expected true or false, found "yes"' },
    })
  const user = { name: 'reader', groups: [] }
  expect((await call('DELETE', `${path}?dry_run=true`, undefined, { user })).status).toBe(403)
  expect((await plane.store.head()).revision).toBe(revision)
})

test('R71 a commit with since is refused if one of its rows was written or deleted after that revision', async () => {
  const { call, plane } = await createRoutes()
  const commit = async (body: object) => {
    const { status, json } = await call('POST', '/_commit', { documents: [], ...body })
    return { status, json }
  }
  const { revision: since } = (await commit({ documents: [timeout('a', '1s'), timeout('b', '1s')] })).json
  expect((await commit({ documents: [timeout('c', '1s')] })).status).toBe(200)
  // Rows of other resources do not count.
  const next = await commit({ documents: [timeout('a', '2s')], since })
  expect(next.status).toBe(200)
  const { revision } = await plane.store.head()
  for (const body of [
    { documents: [timeout('a', '3s')], since },
    { deletions: [named('a')], since },
    { documents: [timeout('c', '3s'), timeout('b', '3s')], since },
  ])
    expect(await commit(body)).toMatchObject({
      status: 412,
      json: { title: 'Precondition failed', detail: expect.stringMatching(/changed after .*Timeout "[ac]" at @\d+/) },
    })
  await commit({ deletions: [named('b')] })
  expect((await commit({ documents: [timeout('b', '3s')], since: next.json.revision })).status).toBe(412)
  expect((await commit({ documents: [timeout('b', '3s')], since: 'other@1.ab' })).status).toBe(412)
  expect((await plane.store.head()).revision).toBe(revision + 1)
})
