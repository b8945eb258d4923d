import { once } from 'node:events'
import { createServer } from 'node:net'
import { expect, test } from 'vitest'
import { serveReadiness } from '../src/readiness.ts'

test('E51 a port in use names the option of the readiness of a proxy', async () => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const port = address !== null && typeof address === 'object' ? address.port : 0
  await expect(serveReadiness(port, async () => 'READY')).rejects.toThrow(
    `cannot listen on 127.0.0.1:${port} for GET /ready: this process already uses the port; choose another with --readiness-port N`,
  )
  server.close()
})
