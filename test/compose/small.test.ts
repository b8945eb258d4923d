import { requestOnce, untilAnswer } from '@zonemesh/cli/base/http.ts'
import { resolve } from '@zonemesh/shared/dns/resolve.ts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { compose as composeWith } from './rig.ts'

const local = '127.0.0.1'
const limitMs = 60_000
const hostname = 'shop.example.com'

const compose = (...args: string[]): Promise<string> => composeWith('-f', 'compose.small.yml', ...args)
const zonemesh = (...args: string[]): Promise<string> => compose('exec', '-T', 'global', 'zonemesh', ...args)
const gateway = (path: string) => () => requestOnce({ host: local, port: 8080, hostname, path })
const fromWest = (answer: { status: number; headers: Record<string, unknown> }) =>
  answer.status === 200 && answer.headers['x-zone'] === 'west'
const describe = (answer: { status: number; body: string }) => `${answer.status} ${answer.body}`

beforeAll(async () => {
  await compose('down', '--volumes', '--timeout', '5')
  await compose('up', '--build', '--detach')
})
afterAll(async () => {
  await compose('down', '--volumes', '--timeout', '5')
})

test('K1 a request that enters in east is answered in west', async () => {
  const answer = await untilAnswer('the gateway answers', limitMs, gateway('/'), fromWest, describe)
  expect(JSON.parse(answer.body)).toMatchObject({
    service: 'echo_demo_svc_8080',
    zone: 'west',
    version: 'v1',
    route: 'shop',
  })
})

test('K2 the name resolves at the resolver of east, and the delegated gateway uses it to reach west', async () => {
  const answer = await untilAnswer(
    'the name resolves',
    limitMs,
    () => resolve('echo.demo.svc.8080.mesh', { host: local, port: 5653 }, AbortSignal.timeout(2_000)),
    (one) => one.addresses.length > 0,
    (one) => `rcode ${one.rcode}`,
  )
  expect(answer.addresses[0]).toMatch(/^240\./)
  await untilAnswer(
    'the delegated gateway answers',
    limitMs,
    () => requestOnce({ host: local, port: 8082, hostname: 'any', path: '/' }),
    fromWest,
    describe,
  )
})

test('K3 the client service reaches west through its explicit outbound', async () => {
  const script = "fetch('http://127.0.0.1:8081/').then(async (r) => console.log(r.status, r.headers.get('x-zone')))"
  const out = await untilAnswer(
    'the client gets an answer',
    limitMs,
    () => compose('exec', '-T', 'client', 'node', '-e', script),
    (text) => text.includes('200 west'),
    (text) => text,
  )
  expect(out).toContain('200 west')
})

test('K4 a route that is changed on the global is served by both zones, each with its delay', async () => {
  const variables = {
    mesh: 'default',
    gateway: 'edge-gateway',
    hostname,
    listenerTag: 'http-main',
    route: 'shop',
    service: 'echo_demo_svc_8080',
    version: 'v2',
    version1: 'v1',
    version2: 'v2',
    weight1: '90',
    weight2: '10',
  }
  const out = await zonemesh(
    'apply',
    '-f',
    '/zonemesh/demo/policies/40-route.yaml',
    ...Object.entries(variables).flatMap(([name, value]) => ['--var', `${name}=${value}`]),
    '--wait',
    'served@all',
    '--timeout',
    '10s',
  )
  expect(out).toMatch(/east: served after [\d.]+ ms/)
  expect(out).toMatch(/west: served after [\d.]+ ms/)
  const answer = await gateway('/')()
  expect(answer.headers['x-version']).toBe('v2')
})

test('K5 the status shows no refusals and both zones as current', async () => {
  const status = await untilAnswer(
    'both zones are current',
    limitMs,
    () => zonemesh('status'),
    (text) => (text.match(/ current /g) ?? []).length === 2,
    (text) => text,
  )
  expect(status).not.toContain('rejected')
})

test('K6 requests succeed while the global is killed, and zones resume when it returns', async () => {
  await compose('kill', 'global')
  const answers = []
  for (let index = 0; index < 100; index += 1) answers.push(await gateway('/')())
  expect(answers.filter((answer) => !fromWest(answer))).toEqual([])
  await compose('up', '--detach', '--no-recreate', 'global')
  await untilAnswer(
    'both zones are back',
    limitMs,
    () => zonemesh('status'),
    (text) => (text.match(/ current /g) ?? []).length === 2,
    (text) => text,
  )
})
