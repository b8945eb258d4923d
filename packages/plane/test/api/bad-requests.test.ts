import { connect } from 'node:net'
import { text as read } from 'node:stream/consumers'
import { publicKinds } from '@zonemesh/core/registry.ts'
import { expect, test } from 'vitest'
import { forbiddenIn } from '../../../../test/messages.ts'
import { remote, send, serve } from './serve.ts'

/** Collects every answer that has forbidden words, or a status that is not the fault of the caller. */
function createJudge() {
  const faults: object[] = []
  return {
    faults,
    judge(what: string, { status, text }: { readonly status: number; readonly text: string }, statuses = [400]): void {
      const words = forbiddenIn(text)
      if (words.length > 0 || !statuses.includes(status)) faults.push({ what, status, words, text: text.slice(0, 300) })
    },
  }
}

const bodies = [
  ...['', '{', '{"a":', 'null', '[]', '"text"', '7', 'true', '{}', '{"type":7}', '{"type":"Mesh","name":7}'],
  ...['{"type":"Mesh","name":null}', `{"name":${'9'.repeat(400)}}`, '{"validFor":7,"name":[],"scope":"cp","mesh":{}}'],
  ...[
    '{"documents":7}',
    '{"documents":[7],"deletions":{}}',
    '{"to":7,"dryRun":"x"}',
    '{"hold":[]}',
    '{"declared":"yes"}',
  ],
  ...['{"__proto__":1,"constructor":2}', '\u0000', '<x>', '{"tags":{"a":[7]},"type":"none","groups":7}'],
]

test('R50 a bad body is refused in the words of the plane, on every route that reads one', async () => {
  await using api = await serve()
  const { faults, judge } = createJudge()
  const routes = api.server.routes.filter(({ method }) => method === 'PUT' || method === 'POST')
  expect(routes.length).toBeGreaterThan(20)
  for (const { method, path } of routes)
    for (const body of bodies) {
      const at = path.replace(':mesh', 'default').replace(/:\w+/, 'x')
      // An empty document list and an empty release are valid requests.
      judge(`${method} ${at} ${body}`, await api.call(method, at, body), [200, 400, 404, 405, 409])
    }
  for (const type of [
    'text/html',
    'application/x-www-form-urlencoded',
    'text/plain',
    '',
    'json',
    'application/json; charset=x',
  ])
    judge(
      `type ${type}`,
      await api.call('PUT', '/meshes/a', '{"type":"Mesh","name":"a"}', { 'content-type': type }),
      [200, 201, 415],
    )
  expect(faults).toEqual([])
})

test('R50 a field of a wrong type is refused in the words of the plane, for every kind', async () => {
  await using api = await serve()
  const { faults, judge } = createJudge()
  for (const kind of publicKinds)
    for (const value of [7, 'text', true, [7], { x: 7 }, [{ x: [7] }]]) {
      const nested = Object.fromEntries(
        [
          ...[
            'networking',
            'conf',
            'selectors',
            'sources',
            'destinations',
            'mtls',
            'routing',
            'data',
            'limits',
            'enabled',
          ],
          'tags',
          'targetRef',
          'from',
        ].map((key) => [key, value]),
      )
      const document = { type: kind.name, name: 'x', mesh: 'default', ...nested, spec: nested }
      judge(
        `${kind.name} ${JSON.stringify(value)}`,
        await api.call('POST', '/_commit', { documents: [document] }),
        [400],
      )
    }
  expect(faults).toEqual([])
})

const queries = [
  ...['size=abc', 'size=', 'size=-1', 'size=0', 'size=1.5', `size=${'9'.repeat(30)}`, 'size=NaN', 'size=1&size=x'],
  ...[
    'offset=abc',
    'offset=-1',
    'offset=',
    `offset=${'9'.repeat(30)}`,
    'offset=1e9',
    'filter[x]=1',
    'filter[labels.[]=1',
  ],
  ...[
    'gateway=maybe',
    'tag=',
    'tag=:',
    'name=%00',
    'limit=x',
    'limit=0',
    'before=x',
    'from=x&to=y',
    'from=@999',
    'kind=mush',
  ],
  ...[
    'wait=x',
    'timeout=x',
    'wait=served@all&timeout=',
    'at=x',
    'at=NaN',
    'at=',
    'after=x',
    'name=x',
    '%',
    '=',
    '&&',
    'format=xml',
  ],
]

test('R50 a bad value of a query is refused in the words of the plane, on every route', {
  timeout: 60_000,
}, async () => {
  await using api = await serve()
  const { faults, judge } = createJudge()
  // A stream of events does not end.
  const routes = api.server.routes.filter(({ method, path }) => /^(GET|DELETE)$/.test(method) && path !== '/_events')
  for (const { method, path } of routes)
    for (const query of queries) {
      const at = path.replace(':mesh', 'default').replace(/:\w+/, 'x')
      judge(`${method} ${at}?${query}`, await api.call(method, `${at}?${query}`), [200, 400, 404, 405, 409])
    }
  for (const revision of ['x', 'NaN', 's@1.x', '@', '%00', 'undefined-'])
    judge(`receipt ${revision}`, await api.call('GET', `/_receipts/${revision}`), [400, 404])
  expect((await api.call('GET', '/meshes?size=abc')).json).toMatchObject({
    detail: 'Invalid page size',
    invalid_parameters: [{ field: 'size', reason: 'invalid format' }],
  })
  expect((await api.call('GET', '/meshes?offset=abc')).json.detail).toBe('invalid: invalid offset: abc')
  expect(faults).toEqual([])
})

test('R50 a wrong method, an unknown path and a broken request are refused in the words of the plane', async () => {
  await using api = await serve()
  const { faults, judge } = createJudge()
  for (const method of ['PATCH', 'POST', 'OPTIONS', 'TRACE', 'PROPFIND'])
    judge(method, await api.call(method, '/meshes/default'), [404, 405])
  for (const path of [
    '/mesh',
    '/meshes/default/mush',
    '/%',
    '/meshes/%E0%A4%A',
    '/meshes/%00',
    '/a/../../b',
    '/index.html',
    `/${'x'.repeat(5_000)}`,
  ])
    judge(path, await api.call('GET', path), [400, 404, 414])
  for (const headers of [
    { authorization: 'x', ...remote },
    { authorization: 'Bearer', ...remote },
    { authorization: 'Bearer a.b.c', ...remote },
    { accept: 'text/html' },
    { 'if-match': 'x' },
    { 'content-encoding': 'gzip' },
    remote,
  ])
    judge(
      JSON.stringify(headers),
      await api.call('PUT', '/meshes/default', '{"type":"Mesh","name":"default"}', headers),
      [401, 403, 406, 412, 415],
    )
  judge('a large header', await send(api.base, 'GET', '/meshes', undefined, { x: 'x'.repeat(20_000) }), [431])
  for (const raw of [
    'nonsense\r\n\r\n',
    'GET / HTTP/9.9\r\n\r\n',
    'GET /meshes HTTP/1.1\r\n\r\n',
    'GET / HTTP/1.1\r\nhost: a\r\ncontent-length: x\r\n\r\n',
  ]) {
    const socket = connect(api.server.port, '127.0.0.1')
    socket.end(raw)
    const text = await read(socket)
    judge(JSON.stringify(raw), { status: Number(text.split(' ')[1]), text }, [400])
  }
  expect(faults).toEqual([])
})
