import { createServer } from 'node:tls'
import { expect, test } from 'vitest'
import { createTestAuthority, type TestAuthority } from '../../shared/test/sync/certificates.ts'
import { findZone, PinError } from '../src/trust.ts'

const signal = () => AbortSignal.timeout(10_000)

/** Serves a certificate, and returns the address. */
async function serve({ cert, key }: TestAuthority) {
  const server = createServer({ cert, key }, (socket) => socket.on('error', () => {}))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const bound = server.address()
  const port = bound !== null && typeof bound === 'object' ? bound.port : 0
  return { url: new URL(`https://127.0.0.1:${port}`), close: () => new Promise((resolve) => server.close(resolve)) }
}

test('P15 a proxy tries the addresses of its join string in turn, and one with another authority ends nothing', async () => {
  const [own, foreign] = [await createTestAuthority(), await createTestAuthority()]
  const [zone, other] = [await serve(own), await serve(foreign)]
  const closed = new URL('https://127.0.0.1:9')
  const pin = { type: 'pin', sha256: own.pinSha256Hex } as const
  expect(await findZone(pin, [closed, other.url, zone.url], signal())).toEqual({
    ...{ address: zone.url, authority: expect.stringContaining('BEGIN CERTIFICATE') },
  })
  const refused = findZone(pin, [other.url, other.url], signal())
  await expect(refused).rejects.toThrow(PinError)
  await expect(refused).rejects.toThrow(
    new RegExp(
      `SHA-256 ${own.pinSha256Hex}, which the join string names, found .*SHA-256 ${foreign.pinSha256Hex}, valid from`,
    ),
  )
  await expect(findZone(pin, [other.url, closed], signal())).rejects.not.toThrow(PinError)
  await expect(findZone(pin, [other.url, closed], signal())).rejects.toThrow(
    /expected a certificate of .*; .*ECONNREFUSED/,
  )
  expect(await findZone({ type: 'system' }, [closed, zone.url], signal())).toEqual({ address: closed })
  await Promise.all([zone.close(), other.close()])
})
