import { expect, test } from 'vitest'
import { verdictLines } from '../../src/chaos/report/verdict-lines.ts'
import { failedRequest, firstFault, secondFault, verdictOf } from './verdicts.ts'

test('B32 the verdict has the effect of each fault, one failure of each sort with its number and first time, and the times of requests during a fault and without one', () => {
  const history = [
    failedRequest(1_500, '503 no healthy upstream'),
    failedRequest(2_500, 'connect ECONNREFUSED 127.0.0.1:1234'),
    failedRequest(2_000, 'connect ECONNREFUSED 127.0.0.1:1233'),
    failedRequest(3_000, '500 no healthy upstream'),
    { type: 'applied', atMs: 1_000, zone: 'east', session: '1', store: 'a', revision: 7 },
  ] as const
  const answers = [
    ...[0, 100, 200, 6_000].map((startedAtMs) => ({ startedAtMs, atMs: startedAtMs + 3, ok: true })),
    // Its request began before the fault.
    { startedAtMs: 900, atMs: 1_040, ok: true },
    ...[1_500, 4_990, 10_000].map((startedAtMs) => ({ startedAtMs, atMs: startedAtMs + 20, ok: true })),
    { startedAtMs: 2_000, atMs: 4_900, ok: false },
  ]
  const lines = verdictLines(verdictOf(history, [firstFault, secondFault], answers))
  // Guarantees without an observation are not held.
  const others = /^✘ G\d +.*: 0 observations, expected at least one$/
  expect(lines.filter((line) => others.test(line)).length).toBe(6)
  expect(lines.filter((line) => !others.test(line))).toEqual([
    '✔ partition east for 4.0 s: converged 0.5 s after the fault ended (limit 15 s)',
    '    effect: the relay held 9 bytes',
    '✔ kill global for 2.0 s: converged 0.5 s after the fault ended (limit 15 s)',
    '    effect: process of global: 10 → 11',
    '✔ G1  revisions only increase: 1 observations',
    '✘ G10 no request fails: 4 violations',
    '    at 0.50 s: a request from the gateway to /chaos-west failed: 503 no healthy upstream',
    '    2 times, first at 1.00 s: a request from the gateway to /chaos-west failed: connect ECONNREFUSED 127.0.0.1:1233',
    '    at 2.00 s: a request from the gateway to /chaos-west failed: 500 no healthy upstream',
    '  traffic: 100 requests, 4 failed; changes: 7 committed, 0 failed',
    '  routes through the gateway: 3 committed, number 3 served by its Envoy',
    '  during the fault: 5 requests, 1 failed, p50 20.0 ms, p99 140.0 ms',
    '  without a fault: 4 requests, 0 failed, p50 3.0 ms, p99 3.0 ms',
    'verdict: FAILED',
  ])
})

test('B36 requests that pass the target of a fault may fail until 2 s after its return, and the verdict states it. All others must not', () => {
  const why = 'they had to pass ingress-west, until 2.0 s after its return'
  const fault = { ...firstFault, allowances: [{ paths: ['/chaos-west'], fromMs: 1_000, untilMs: 7_000, why }] }
  const g10 = (history: Parameters<typeof verdictOf>[0]) => {
    const verdict = verdictOf(history, [fault])
    const lines = verdictLines(verdict)
    const from = lines.findIndex((line) => line.includes('G10'))
    return lines.slice(
      from,
      lines.findIndex((line) => line.includes('traffic:')),
    )
  }
  const late = { ...failedRequest(9_000, '503 no'), startedAtMs: 6_999 }
  expect(g10([failedRequest(1_000, 'reset'), failedRequest(7_000, '503 no'), late])).toEqual([
    '✔ G10 no request fails: 3 observations',
    `    allowed: 3 requests failed from 0.00 s to 8.00 s: ${why}`,
  ])
  for (const outside of [
    failedRequest(999, '503 no'),
    failedRequest(7_001, '503 no'),
    { ...failedRequest(2_000, '503 no'), to: '/chaos-east' },
  ])
    expect(g10([outside])).toEqual([
      '✘ G10 no request fails: 1 violations',
      `    allowed: 0 requests failed: ${why}`,
      expect.stringContaining('failed: 503 no'),
    ])
})
