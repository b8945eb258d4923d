import { createServer, type Server } from 'node:tls'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createPinnedPeer, pinnedAuthority } from '../../src/transport/pin.ts'
import { createTestAuthority, type TestAuthority } from '../sync/certificates.ts'

let authority: TestAuthority
let server: Server
let address: string
let received = 0
let handshakes = 0
/** TLS calls this in every handshake. */
const hello = () => {
  handshakes += 1
  return 'h2'
}
beforeAll(async () => {
  authority = await createTestAuthority()
})
beforeEach(async () => {
  received = 0
  handshakes = 0
  server = createServer({ cert: authority.cert, key: authority.key, ALPNCallback: hello }, (socket) => {
    socket.on('data', (bytes) => {
      received += bytes.length
    })
    socket.on('error', () => {})
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const bound = server.address()
  address = `127.0.0.1:${typeof bound === 'object' && bound ? bound.port : 0}`
})
afterEach(() => new Promise<void>((resolve) => void server.close(() => resolve())))

const signal = () => AbortSignal.timeout(10_000)

describe('a pinned authority', () => {
  it('TR10 the pinned authority is the certificate of the chain with the pinned hash, and no data is sent', async () => {
    const found = await pinnedAuthority(address, authority.pinSha256Hex, signal())
    expect(found).toEqual({ ok: true, value: expect.stringContaining('BEGIN CERTIFICATE') })
    const pem = authority.cert.split('-----END CERTIFICATE-----')[1] ?? ''
    expect(found.ok && found.value.replace(/\s|-----[A-Z ]+-----/g, '')).toBe(pem.replace(/\s|-----[A-Z ]+-----/g, ''))
    expect(received).toBe(0)
  })

  it('TR10 a pin may be written in capitals with colons', async () => {
    const written = (authority.pinSha256Hex.toUpperCase().match(/../g) ?? []).join(':')
    expect((await pinnedAuthority(address, written, signal())).ok).toBe(true)
  })

  it('TR10 a mismatch is reported with the expected and the found hash', async () => {
    const found = await pinnedAuthority(address, '00'.repeat(32), signal())
    expect(found).toMatchObject({ ok: false, error: { mismatch: true } })
    expect(!found.ok && found.error.reason).toContain(authority.pinSha256Hex)
    expect(!found.ok && found.error.reason).toMatch(
      new RegExp(
        `^expected a certificate authority with SHA-256 0{64} at ${address}, found \\{ subject CN=global, issuer CN=test authority, .*\\{ subject CN=test authority, issuer CN=test authority, SHA-256 ${authority.pinSha256Hex}, valid from [\\d: -]+ to [\\d: -]+ UTC \\}; `,
      ),
    )
  })

  it('TR8 an address without an answer is distinguished from another authority', async () => {
    const found = await pinnedAuthority('127.0.0.1:1', authority.pinSha256Hex, signal())
    expect(found).toMatchObject({ ok: false, error: { mismatch: false } })
  })

  it('TR10 a pin needs a host and a port', async () => {
    expect(await pinnedAuthority('nowhere', authority.pinSha256Hex, signal())).toMatchObject({
      ok: false,
      error: { mismatch: true },
    })
  })
})

describe('repeated connections to a peer', () => {
  it('TR11 the authority is read in one handshake, and after failed attempts only a connection is tried until the address answers', async () => {
    const peer = createPinnedPeer(address, authority.pinSha256Hex)
    const known = await peer.authority(signal())
    expect(known.ok).toBe(true)
    expect(await peer.authority(signal())).toEqual(known)
    const { port } = new URL(`tls://${address}`)
    await new Promise<void>((resolve) => void server.close(() => resolve()))
    for (let tries = 0; tries < 3; tries += 1) {
      peer.forget()
      const found = await peer.authority(signal())
      expect(found).toMatchObject({ ok: false, error: { mismatch: false } })
      expect(!found.ok && found.error.reason).toContain(`cannot reach ${address}`)
    }
    await new Promise<void>((resolve) => server.listen(Number(port), '127.0.0.1', resolve))
    peer.forget()
    expect(await peer.authority(signal())).toEqual(known)
    expect(handshakes).toBe(1)
  })

  it('TR11 the authority is read again when the peer is not the pinned one, and the error shows what was found', async () => {
    const peer = createPinnedPeer(address, authority.pinSha256Hex)
    await peer.authority(signal())
    const other = await createTestAuthority()
    server.setSecureContext({ cert: other.cert, key: other.key })
    peer.forget()
    expect((await peer.authority(signal())).ok).toBe(true)
    peer.forget()
    const found = await peer.authority(signal())
    expect(found).toMatchObject({ ok: false, error: { mismatch: true } })
    expect(!found.ok && found.error.reason).toContain(other.pinSha256Hex)
  })
})
