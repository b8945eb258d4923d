import { afterAll, beforeAll, expect, test } from 'vitest'
import { chaosOn, compose } from './rig.ts'

const files = ['-f', 'compose.small.yml', '-f', 'compose.small.chaos.yml']
const chaos = (...args: string[]) => chaosOn('zonemesh-small', ...args)

beforeAll(async () => {
  await compose(...files, 'down', '--volumes', '--timeout', '5')
  await compose(...files, 'up', '--build', '--detach')
})
afterAll(async () => {
  await compose(...files, 'down', '--volumes', '--timeout', '5')
})

test.each([
  { words: ['partition', 'west', '--for', '11s'], effect: /the relay held [1-9]\d* bytes/ },
  { words: ['kill', 'global', '--for', '3s'], effect: /process of global: [1-9]\d* → [1-9]\d*/ },
  { words: ['kill', 'zone-east', '--for', '3s'], effect: /session of zone east: epoch \d+ → \d+/ },
  { words: ['pause', 'global', '--for', '4s'], effect: /global did not answer [1-9]\d* of \d+ requests/ },
  { words: ['restore-old-store'], effect: /2 of 2 zones held/ },
])(
  'K7 zonemesh chaos injects the fault through relays and containers, and the guarantees hold: $words',
  async ({ words, effect }) => {
    const { code, out } = await chaos(...words)
    expect({ code, out }).toEqual({ code: 0, out: expect.stringMatching(effect) })
    expect(out).toMatch(/traffic: [1-9]\d* requests, 0 failed/)
  },
)

test('K7 a gateway that is a container is killed, and only requests that pass it fail', async () => {
  const { code, out } = await chaos('kill', 'gateway', '--for', '3s')
  expect({ code, out }).toEqual({
    code: 0,
    out: expect.stringMatching(/allowed: [1-9]\d* requests failed .* pass gateway/),
  })
})

test('K8 a fault that containers do not support, or an absent target, is one sentence with its exit code', async () => {
  const clock = await chaos('clock', 'zone-east', '+1h')
  expect(clock).toEqual({ code: 3, out: expect.stringContaining('containers that do not preload libfaketime') })
  const nobody = await chaos('kill', 'zone-north')
  expect(nobody).toEqual({
    code: 2,
    out: expect.stringContaining('unknown plane "zone-north"; planes of this stack: global, zone-east, zone-west'),
  })
})
