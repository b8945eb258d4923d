import { StoreUnavailableError } from '@zonemesh/shared/store/errors.ts'
import { expect, test } from 'vitest'
import { createRecordingTracer, traceparentOf } from '../../../shared/test/env/recording-tracer.ts'
import { remote, serve } from './serve.ts'

const path = '/meshes/default/timeouts/t1'
const template = '/meshes/:mesh/timeouts/:name'
const timeout = (seconds: number) => ({
  type: 'Timeout',
  mesh: 'default',
  name: 't1',
  sources: [{ match: { 'kuma.io/service': '*' } }],
  destinations: [{ match: { 'kuma.io/service': '*' } }],
  conf: { connectTimeout: `${seconds}s` },
})

async function traced() {
  const recording = createRecordingTracer()
  const api = await serve({ tracer: recording.tracer })
  const newest = async () => (await api.plane.store.records({ after: 0, limit: 100 })).at(-1)
  return { ...api, ...recording, newest }
}

test('OT8 a write continues the trace of its caller, and the record of its commit has the span of the commit', async () => {
  await using api = await traced()
  const answer = await api.call('PUT', path, timeout(1), { traceparent: traceparentOf(1) })
  expect(answer.status).toBe(201)
  const [request, commit, ...others] = api.spans
  expect(others).toEqual([])
  expect(request).toMatchObject({ name: `PUT ${template}`, kind: 'request', parent: traceparentOf(1), ended: 'ok' })
  expect(request?.attributes).toEqual({
    'http.request.method': 'PUT',
    'http.route': template,
    'http.response.status_code': 201,
  })
  expect(commit).toMatchObject({ name: 'commit', parent: request?.traceparent, ended: 'ok' })
  expect(commit?.attributes).toEqual({
    'zonemesh.changes': 1,
    'zonemesh.kind': 'Timeout',
    'zonemesh.mesh': 'default',
    'zonemesh.name': 't1',
    'zonemesh.revision': (await api.plane.store.head()).revision,
  })
  expect(await api.newest()).toMatchObject({ traceparent: commit?.traceparent })
})

test.each(['nonsense', `${traceparentOf(1)}, ${traceparentOf(2)}`, 'x'.repeat(8_000)])(
  'OT8 a write with a malformed traceparent begins a trace of its own',
  async (traceparent) => {
    await using api = await traced()
    expect((await api.call('PUT', path, timeout(1), { traceparent })).status).toBe(201)
    expect(api.spans[0]).toMatchObject({ kind: 'request', parent: undefined })
    expect((await api.newest())?.traceparent).toBe(api.spans[1]?.traceparent)
  },
)

test('OT8 deletions, commits of many documents and rollbacks are traced like a PUT', async () => {
  await using api = await traced()
  await api.call('POST', '/_commit', { documents: [timeout(1)] })
  await api.call('DELETE', path)
  expect(api.spans.map(({ name }) => name)).toEqual(['POST /_commit', 'commit', `DELETE ${template}`, 'commit'])
  expect((await api.newest())?.traceparent).toBe(api.spans[3]?.traceparent)
})

test('OT8 a read, and a caller that may not write, have no span', async () => {
  await using api = await traced()
  await api.call('GET', path, undefined, { traceparent: traceparentOf(1) })
  const refused = { ...remote, traceparent: traceparentOf(1), authorization: 'Bearer a.b.c' }
  expect((await api.call('PUT', path, timeout(1), refused)).status).toBe(401)
  expect(api.spans).toEqual([])
})

test('OT8 a refused write has a span without an error, and a failed one has an error without the reason', async () => {
  await using api = await traced()
  expect((await api.call('PUT', path, { ...timeout(1), conf: 5 })).status).toBe(400)
  expect(api.spans).toMatchObject([{ ended: 'ok', attributes: { 'http.response.status_code': 400 } }])
  api.spans.length = 0
  const recording = createRecordingTracer()
  await using failing = await serve({
    tracer: recording.tracer,
    commit: () => Promise.reject(new StoreUnavailableError('the secret place is away')),
  })
  expect((await failing.call('PUT', path, timeout(1))).status).toBe(503)
  const error = expect.stringMatching(/^(the request|it) failed; the log has the reason$/)
  expect(recording.spans).toMatchObject([
    { attributes: { 'http.response.status_code': 503 }, ended: { error } },
    { name: 'commit', ended: { error } },
  ])
  expect(JSON.stringify(recording.spans)).not.toContain('secret')
})

test('OT8 a commit that the store refuses ends its span with an error', async () => {
  const { tracer, spans } = createRecordingTracer()
  await using api = await serve({ tracer, commit: async () => ({ ok: false, conflicts: [] }) })
  expect((await api.call('PUT', path, timeout(1))).status).toBe(412)
  const error = 'the store refused the commit, because a row has changed'
  expect(spans).toMatchObject([{ ended: 'ok' }, { name: 'commit', ended: { error } }])
})

test('OT7 without tracing a traceparent changes nothing', async () => {
  await using api = await serve()
  expect((await api.call('PUT', path, timeout(1), { traceparent: traceparentOf(1) })).status).toBe(201)
  const records = await api.plane.store.records({ after: 0, limit: 100 })
  expect(records.filter((record) => 'traceparent' in record)).toEqual([])
})
