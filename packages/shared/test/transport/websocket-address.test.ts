import { expect, it } from 'vitest'
import { readWebSocketAddress } from '../../src/transport/websocket-address.ts'

it('W7 a WebSocket address states where to connect and which authority to trust', () => {
  const cases: readonly (readonly [string, object])[] = [
    ['wss://global.example:5682', { url: 'wss://global.example:5682/_sync', trust: 'pin' }],
    ['wss://global.example', { hostAndPort: 'global.example:443', trust: 'pin' }],
    ['wss://[::1]:5682', { hostAndPort: '[::1]:5682', host: '::1', trust: 'pin' }],
    ['wss://mesh.example/east?tls=system', { url: 'wss://mesh.example:443/east', trust: 'system' }],
    ['ws://127.0.0.1:5681', { url: 'ws://127.0.0.1:5681/_sync', trust: 'none' }],
    ['ws://localhost:5681/', { url: 'ws://localhost:5681/_sync', trust: 'none' }],
  ]
  for (const [address, value] of cases) expect(readWebSocketAddress(address)).toMatchObject({ ok: true, value })
})

it('W7 an address is refused if the token could be read on the way', () => {
  const cases: readonly (readonly [string, RegExp])[] = [
    ['ws://global.example:5681', /loopback only; use wss/],
    ['ws://127.evil.example:5681', /loopback only/],
    ['ws://10.0.0.1:5681', /loopback only/],
    ['ws://127.0.0.1:5681?tls=system', /needs wss/],
    ['wss://global.example?tls=none', /expected no query but \?tls=system/],
    ['wss://global.example?insecure=1', /expected no query but/],
    ['wss://user@global.example', /without a user/],
    ['https://global.example:5685', /expected an address such as/],
    ['wss://', /expected an address such as/],
  ]
  for (const [address, line] of cases)
    expect(readWebSocketAddress(address), address).toEqual({ ok: false, error: expect.stringMatching(line) })
})
