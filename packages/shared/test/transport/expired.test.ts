import { createServer } from 'node:https'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { certificateReason } from '../../src/transport/certificates.ts'
import type { Listening } from '../../src/transport/transport.ts'
import { createTestAuthority, type TestAuthority } from '../sync/certificates.ts'
import { grpcTransport, webSocketTransport } from './doors.ts'

const signal = () => AbortSignal.timeout(10_000)
let expired: TestAuthority
let doors: Listening[]
beforeEach(async () => {
  expired = await createTestAuthority({ leafMs: -60_000 })
  doors = []
})
afterEach(() => Promise.all(doors.map((door) => door.close())))

/** What was expected, what the server has shown, and what to do. */
const wanted = new RegExp(
  [
    'the certificate has expired: expected certificates that are valid now, found ',
    '\\{ subject CN=global, issuer CN=test authority, SHA-256 [\\da-f]{64}, valid from [\\d: -]+ to [\\d: -]+ UTC \\}, ',
    '\\{ subject CN=test authority, .*\\}; ',
    'restart the control plane that shows it, which renews its own certificate, or correct the clock of this machine$',
  ].join(''),
)

test.each([grpcTransport, webSocketTransport])(
  'TR13 an expired certificate under the pinned authority is reported with what was expected, what was found, and what to do: $name',
  async ({ open, dialer }) => {
    const door = await open(expired, (_caller, accept) => void accept())
    doors.push(door)
    const own = dialer(door.port, 'good', expired.pinSha256Hex)
    // The second attempt uses what the dialer has cached, the third reads the certificates again.
    for (let attempt = 0; attempt < 3; attempt++) {
      const dialled = await own.dial(signal())
      const end = dialled.ok ? await dialled.value.ended : dialled.error
      expect(end).toEqual({ refused: false, reason: expect.stringMatching(wanted) })
      if (dialled.ok) dialled.value[Symbol.dispose]()
      own.forget()
    }
  },
)

test('TR14 an expired certificate is reported to a client of an API or of a zone with its times, and not as a wrong authority', async () => {
  const server = createServer({ cert: expired.cert, key: expired.key })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const bound = server.address()
  const port = bound !== null && typeof bound === 'object' ? bound.port : 0
  const cause = Object.assign(new Error('certificate has expired'), { code: 'CERT_HAS_EXPIRED' })
  const expectation = { host: '127.0.0.1', port, authorityPem: expired.cert, remedy: 'give another authority' }
  expect(await certificateReason(cause, expectation, signal())).toMatch(wanted)
  server.close()
})
