import { expect, test } from 'vitest'
import { type Counters, trafficBetween, trafficLines } from '../src/output/traffic.ts'
import { createUser, startTestGlobal } from './rig.ts'

const counters = (atMs: number, values: Readonly<Record<string, number>>): Counters => ({
  ...{ proxy: 'gateway-1', atMs, values: new Map(Object.entries(values)) },
  times: new Map([['http.shop.downstream_rq_time', { p50: 1.26, p99: 40 }]]),
})

test('B81 rates come from two readings, and an Envoy that was started again counts from zero', () => {
  const before = counters(1_000, {
    'http.shop.downstream_rq_total': 100,
    'cluster.web.v1-0cacaad0c907a230.upstream_rq_total': 50,
  })
  const after = counters(3_000, {
    ...{ 'http.shop.downstream_rq_total': 140, 'http.shop.downstream_rq_5xx': 3, 'http.shop.downstream_cx_active': 7 },
    ...{ 'http.admin.downstream_rq_total': 9, 'cluster.ads_cluster.upstream_rq_total': 9 },
    ...{ 'cluster.localhost_21001.upstream_rq_total': 9, 'cluster.web.v1-0cacaad0c907a230.upstream_rq_total': 10 },
  })
  expect(trafficLines(trafficBetween(before, after))).toEqual([
    'PROXY           LISTENER OR SERVICE  REQUESTS/S  5XX/S  P50    P99   CONNECTIONS',
    'gateway-1  in   shop                 20          1.5    1.3ms  40ms  7',
    'gateway-1  out  web.v1               5.0         0      -      -     0',
  ])
})

test('B81 top explains that nothing is online, and a plane that does not answer', async () => {
  await using stack = new AsyncDisposableStack()
  const global = await startTestGlobal()
  stack.defer(() => global.close())
  using user = createUser()
  const none = await user.run(['top', '--address', `http://127.0.0.1:${global.apiPort}`])
  expect([none.code, none.stdout]).toEqual([0, expect.stringMatching(/^no gateway, ingress or egress is online; /m)])
  expect((await user.run(['top', '--address', 'http://127.0.0.1:9', '--interval', '1ms'])).code).toBe(1)
})
