import { mkdtempSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fleetStack } from '@zonemesh/cli/fleet/stack.ts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { chaosOn, compose } from './rig.ts'

const files = ['-f', 'docker-compose.yml', '-f', 'compose.chaos.yml']
const chaos = (...args: string[]) => chaosOn('zonemesh', ...args, '--rate', '50')

beforeAll(async () => {
  await compose(...files, 'down', '--volumes', '--timeout', '5')
  await compose(...files, 'up', '--build', '--detach', '--wait')
})
afterAll(async () => {
  await compose(...files, 'down', '--volumes', '--timeout', '5')
})

test.each([
  { words: ['kill', 'global-1'], effect: /process of global-1: [1-9]\d* → [1-9]\d*/ },
  { words: ['kill', 'postgres'], effect: /[1-9]\d* commits failed while postgres was stopped/ },
  { words: ['pause', 'redis', '--for', '8s'], effect: /the global reported after .* that Redis does not answer/ },
  { words: ['pause', 'balancer'], effect: /the globals behind balancer did not answer [1-9]\d* of \d+ requests/ },
  { words: ['disconnect', 'zone-west-2', '--for', '8s'], effect: /zone west reported 1 of 2 replicas/ },
  { words: ['clock', 'zone-west-1', '+1h'], effect: /the clock of zone-west-1 differed .* by 3[56]\d\d\.\d s/ },
  { words: ['clock', 'global-1', '--by', '-1h'], effect: /the clock of global-1 differed .* by -3[56]\d\d\.\d s/ },
])(
  'K27 `zonemesh chaos` kills, pauses and disconnects what carries no traffic in the fleet, and no request fails: $words',
  async ({ words, effect }) => {
    const { code, out } = await chaos(...words)
    expect({ code, out }).toEqual({ code: 0, out: expect.stringMatching(effect) })
    expect(out).toMatch(/traffic: [1-9]\d* requests, 0 failed/)
  },
)

test.each([{ words: ['kill', 'gateway-south'] }, { words: ['kill', 'egress-east'] }, { words: ['pause', 'echo-1'] }])(
  'K28 a proxy or service of the fleet is stopped, and only requests that pass it fail: $words',
  async ({ words }) => {
    const { code, out } = await chaos(...words, '--for', '3s')
    expect({ code, out }).toEqual({
      code: 0,
      out: expect.stringMatching(new RegExp(`allowed: [1-9]\\d* requests failed .* pass ${words[1]}`)),
    })
  },
)

test('K31 three scenarios of real outages run in the fleet, each with its effect, no request fails, and the page has all of it', async () => {
  const page = join(mkdtempSync(join(tmpdir(), 'zonemesh-chaos-')), 'verdict.html')
  const names = ['stale-worker', 'stalled-notify', 'herd']
  const { code, out } = await chaos('suite', ...names, '--seed', '3', '--html', page)
  expect({ code, out }).toEqual({ code: 0, out: expect.stringContaining('verdict: every guarantee held') })
  expect(out).toMatch(/traffic: [1-9]\d* requests, 0 failed/)
  const html = readFileSync(page, 'utf8')
  for (const name of names) expect(html).toContain(`<span class="passed">✔</span> ${name}`)
})

test.each([
  { words: ['restore-old-store'], reason: 'found globals over one database' },
  { words: ['half-open', 'east'], reason: 'found globals over one database' },
  { words: ['kill', 'echo-1'], reason: 'other containers use the network of echo-1' },
])(
  'K29 a fault that the fleet does not support is one sentence with exit code 3: $words',
  async ({ words, reason }) => {
    const { code, out } = await chaosOn('zonemesh', ...words)
    expect({ code, lines: out.trim().split('\n').length }).toEqual({ code: 3, lines: 1 })
    expect(out).toContain(reason)
  },
)

test('K30 the stack file of the fleet names every replica, database and proxy of the compose files, with its networks', async () => {
  const { services } = JSON.parse(await compose(...files, 'config', '--format', 'json'))
  const { parts, scene } = fleetStack({ user: '', relay: '' })
  const named = [...parts, ...scene.targets].map(({ name, networks = [] }) => [name, [...networks].sort()] as const)
  const others = ['keys', 'setup', 'relay', 'clock', 'prometheus', 'shop', 'client']
  const found = Object.entries<{ readonly networks?: object }>(services)
    .filter(([name]) => !others.includes(name))
    .map(([name, { networks = {} }]) => [name, Object.keys(networks).sort()] as const)
  expect(new Map(named)).toEqual(new Map(found))
})

test('K32 `chaos suite --compose` refuses a fleet without relays, and leaves it as it is', async () => {
  await compose(...files, 'rm', '--stop', '--force', 'relay')
  const { code, out } = await chaosOn('zonemesh', 'suite')
  expect({ code, lines: out.trim().split('\n').length }).toEqual({ code: 1, lines: 1 })
  expect(out).toContain('the compose project "zonemesh" runs without relays')
  expect(await compose(...files, 'ps', '--services')).toContain('zone-west-1')
})
