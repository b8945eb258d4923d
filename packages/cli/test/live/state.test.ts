import { expect, test } from 'vitest'
import { screenLines } from '../../src/live/lines.ts'
import { createLiveState, happened, type LiveEvent, type ZoneState } from '../../src/live/state.ts'

const startMs = Date.parse('2026-03-01T12:00:00')
const zoneOf = (zone: string, state: string): ZoneState => ({ zone, state, session: '1', served: '24', proxies: '3/3' })

function createScene() {
  const state = createLiveState()
  let nowMs = startMs
  const tell = (event: LiveEvent) => happened(state, event)
  return {
    state,
    pass: (ms: number) => {
      nowMs += ms
    },
    request: (status = 200, answeredBy = 'v1 in west', ms = 2) =>
      tell({ type: 'request', request: { atMs: nowMs, ms, status, answeredBy } }),
    zones: (...zones: ZoneState[]) => tell({ type: 'status', atMs: nowMs, zones }),
    noGlobal: () => tell({ type: 'status', atMs: nowMs, zones: undefined }),
    started: (name: string) => tell({ type: 'started', atMs: nowMs, name }),
    ended: (name: string) => tell({ type: 'ended', atMs: nowMs, name, how: 'SIGKILL' }),
    tell,
    texts: () => state.events.map(({ text }) => text),
    screen: (width = 100) => screenLines(state, nowMs, width, 's split   q quit'),
  }
}

test('LV1 a process that ends and is started again is reported with the traffic in between', () => {
  const { started, ended, pass, request, texts, state } = createScene()
  started('zone-east')
  request()
  ended('zone-east')
  request()
  request()
  request(503, 'refused')
  pass(2_100)
  started('zone-east')
  request()
  expect(texts()).toEqual([
    'zone-east ended with SIGKILL',
    'zone-east is started again after 2.1 s; meanwhile 3 requests, 1 failed',
  ])
  expect(state.processes.get('zone-east')).toEqual({ runs: true, restarts: 1 })
})

test('LV1 a zone that is no longer connected is reported once, and its return when it is current', () => {
  const { zones, pass, texts } = createScene()
  for (const state of ['current', 'behind', 'offline', 'offline', 'behind', 'current', 'current']) {
    zones(zoneOf('east', state))
    pass(1_000)
  }
  expect(texts()).toEqual([
    'zone east is offline',
    'zone east is current again after 3.0 s; meanwhile 0 requests, 0 failed',
  ])
})

test('LV1 a global that does not answer is reported once, and not before it has answered', () => {
  const { zones, noGlobal, pass, texts } = createScene()
  noGlobal()
  expect(texts()).toEqual([])
  zones(zoneOf('east', 'current'))
  noGlobal()
  pass(500)
  noGlobal()
  zones(zoneOf('east', 'current'))
  expect(texts()).toEqual([
    'the global does not answer',
    'the global answers again after 0.5 s; meanwhile 0 requests, 0 failed',
  ])
})

test('LV2 requests count for ten seconds, and only the newest changes and events stay', () => {
  const { request, pass, tell, state } = createScene()
  request()
  pass(9_999)
  request()
  expect(state.requests).toHaveLength(2)
  pass(1)
  request()
  expect(state.requests).toHaveLength(2)
  for (let index = 0; index < 10; index += 1) {
    tell({ type: 'served', atMs: startMs, what: `change ${index}`, delays: 'east after 1 ms' })
    tell({ type: 'acted', atMs: startMs, text: `event ${index}` })
  }
  expect(state.changes.map(({ text }) => text)[0]).toBe('change 6: east after 1 ms')
  expect(state.events.map(({ text }) => text)[0]).toBe('event 4')
})

test('LV3 the screen shows zones, processes, who answered, changes and events', () => {
  const { request, zones, started, ended, tell, screen, pass } = createScene()
  for (const name of ['global', 'zone-east', 'gateway-1']) started(name)
  zones(zoneOf('east', 'current'), zoneOf('west', 'offline'))
  for (let index = 0; index < 3; index += 1) request(200, 'v1 in west', 2 + index)
  request(503, 'refused by the gateway with 503', 1)
  tell({ type: 'served', atMs: startMs, what: 'MeshGatewayRoute shop changed @31', delays: 'east after 9 ms' })
  ended('gateway-1')
  pass(1_000)
  expect(screen(60).join('\n')).toMatchInlineSnapshot(`
    "Zonemesh demo  12:00:01

    ZONE  STATE    SESSION  SERVED  PROXIES
    east  current  1        24      3/3
    west  offline  1        24      3/3
    2 of 3 processes run
    ended: gateway-1

    Requests through the gateway of east, last 10 s
    4 requests, 1 failed, p50 3.0 ms, p99 4.0 ms
      refused by the gateway with 503  25 %  ████████
      v1 in west                       75 %  ███████████████████████
    last: 503 refused by the gateway with 503, 1.0 ms

    Changes, and when the zones served them
      12:00:00  MeshGatewayRoute shop changed @31: east after 9…

    Events
      12:00:00  zone west is offline
      12:00:00  gateway-1 ended with SIGKILL

    s split   q quit"
  `)
})

test('LV3 before anything has happened, and without the global, the screen says so', () => {
  const { screen, request } = createScene()
  expect(screen()).toContain('the global does not answer: the zones go on by themselves')
  expect(screen()).toContain('0 requests, 0 failed, p50 - ms, p99 - ms')
  request(0, 'no answer: connect ECONNREFUSED', 1)
  expect(screen()).toContain('last: no answer: connect ECONNREFUSED, 1.0 ms')
})
