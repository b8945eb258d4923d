import { once } from 'node:events'
import { createServer } from 'node:http'
import { expect, test } from 'vitest'
import { traceparentOf } from '../../shared/test/env/recording-tracer.ts'
import { createClient } from '../src/base/client.ts'

/** The header that a plane gets from a command in this environment. */
async function sentWith(environment: NodeJS.ProcessEnv): Promise<unknown> {
  let received: unknown
  const server = createServer(({ headers }, response) => {
    received = headers['traceparent']
    response.setHeader('content-type', 'application/json')
    response.end('{}')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const bound = server.address()
  const port = bound !== null && typeof bound === 'object' ? bound.port : 0
  const target = { address: `http://127.0.0.1:${port}`, token: 'a.b.c', tokenFile: undefined, caCertFile: undefined }
  await createClient(target, environment).call('GET', '/')
  server.closeAllConnections()
  server.close()
  return received
}

test('OT13 a command passes TRACEPARENT on if it is well-formed, and sends nothing otherwise', async () => {
  expect(await sentWith({ TRACEPARENT: traceparentOf(1) })).toBe(traceparentOf(1))
  for (const TRACEPARENT of ['', 'nonsense', `${traceparentOf(1)}\r\nx-admin: 1`, 'x'.repeat(100_000)])
    expect(await sentWith({ TRACEPARENT })).toBeUndefined()
  expect(await sentWith({})).toBeUndefined()
})
