import { X509Certificate } from 'node:crypto'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { createServer as createHttpServer } from 'node:http'
import { createServer } from 'node:https'
import type { Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { createPair } from '../../plane/test/pki.ts'
import { createClient } from '../src/base/client.ts'

const authority = await createPair({ authority: {}, commonName: 'right authority' })
const other = await createPair({ authority: {}, commonName: 'wrong authority' })
const hashOf = (pem: string): string => new X509Certificate(pem).fingerprint256.replaceAll(':', '').toLowerCase()
const file = (pem: string): string => {
  const path = join(mkdtempSync(join(tmpdir(), 'zonemesh-ca-')), 'ca.crt')
  writeFileSync(path, pem)
  return path
}

async function portOf(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const bound = server.address()
  return bound !== null && typeof bound === 'object' ? bound.port : 0
}

const failure = (address: string, caCertFile?: string): Promise<string> =>
  createClient({ address, token: 'a.b.c', tokenFile: undefined, caCertFile })
    .call('GET', '/')
    .then(
      () => 'answered',
      (thrown: unknown) => String(thrown),
    )

test('B21 a certificate that a client refuses is reported with what was expected, what was found, and what to do', async () => {
  const pair = await createPair({ names: ['zone.example'], issuer: authority })
  const server = createServer({ cert: pair.certificate, key: pair.key }, (_request, response) => response.end())
  const address = `https://127.0.0.1:${await portOf(server)}`
  const found = `found { subject CN=zone.example, issuer CN=right authority, SHA-256 ${hashOf(pair.certificate)}, valid from 20`

  const untrusted = await failure(address)
  expect(untrusted).toContain(`cannot reach the control plane at ${address}: `)
  expect(untrusted).toContain(
    'expected a certificate for the address 127.0.0.1 that is signed by an authority that this machine trusts',
  )
  expect(untrusted).toContain(found)
  expect(untrusted).toMatch(/with --ca-cert-file$/)

  const wrong = file(other.certificate)
  const foreign = await failure(address, wrong)
  expect(foreign).toContain(
    `signed by { subject CN=wrong authority, issuer CN=wrong authority, SHA-256 ${hashOf(other.certificate)}, valid from`,
  )
  expect(foreign).toContain(found)
  expect(foreign).toContain(`check --ca-cert-file ${wrong}, and that --address is the control plane of this authority`)

  // The authority is right, and the certificate has another name.
  const named = await failure(address, file(authority.certificate))
  expect(named).toContain('signed by { subject CN=right authority')
  expect(named).toContain(found)
  server.closeAllConnections()
  server.close()
})

test('B21 a port without TLS is reported as such', async () => {
  const server = createHttpServer((_request, response) => response.end())
  const address = `https://127.0.0.1:${await portOf(server)}`
  expect(await failure(address)).toMatch(/the port does not answer with TLS; the API over TLS has port 5682 by default/)
  server.closeAllConnections()
  server.close()
})
