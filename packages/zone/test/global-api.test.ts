import { expect, test } from 'vitest'
import { globalApiOf } from '../src/global-api.ts'

const api = (address: string, ...otherAddresses: string[]) =>
  globalApiOf({ address, otherAddresses, token: 't', pin: 'p' })

test('R51 a message that refers to the global names its API, and never its port for zones', () => {
  expect(api('https://global.example:5685')).toBe('host global.example, port 5681 by default')
  expect(api('https://[fd00::1]:5685/')).toBe('host fd00::1, port 5681 by default')
  expect(api('wss://mesh.example?tls=system')).toBe('https://mesh.example')
  expect(api('wss://mesh.example:5682/sync')).toBe('https://mesh.example:5682')
  expect(api('ws://127.0.0.1:5681')).toBe('http://127.0.0.1:5681')
  expect(api('https://a:1', 'https://b:1', 'https://a:2')).toBe(
    'host a, port 5681 by default, or host b, port 5681 by default',
  )
})
