import { observeRequests } from '@zonemesh/plane/metrics/api.ts'
import { createMetrics } from '@zonemesh/plane/metrics/metrics.ts'
import { expect, test } from 'vitest'
import { serve } from '../api/serve.ts'

async function scene() {
  const metrics = createMetrics('global')
  const served = await serve({}, { observe: observeRequests(metrics) })
  const series = async (pattern: RegExp): Promise<readonly string[]> =>
    (await metrics.text()).split('\n').filter((line) => pattern.test(line))
  return { ...served, series }
}

test('MT7 requests are counted by the template of their route, their method and their status', async () => {
  await using api = await scene()
  await api.call('GET', '/meshes/default')
  await api.call('GET', '/meshes/none')
  await api.call('PATCH', '/meshes/default')
  await expect
    .poll(() => api.series(/^zonemesh_api_requests_total/))
    .toEqual([
      'zonemesh_api_requests_total{method="GET",route="/meshes/:name",status="200"} 1',
      'zonemesh_api_requests_total{method="GET",route="/meshes/:name",status="404"} 1',
      'zonemesh_api_requests_total{method="PATCH",route="/meshes/:name",status="405"} 1',
    ])
})

test('MT7 a thousand paths make no new series, whether they have a route or not', async () => {
  await using api = await scene()
  const call = (index: number) =>
    Promise.all([
      api.call('GET', `/meshes/m${index}`),
      api.call('GET', `/nothing/${index}?token=${index}`),
      api.call(index % 2 === 0 ? 'OPTIONS' : 'GET', `/%ZZ${index}`),
    ])
  await call(0)
  await call(1)
  await expect.poll(() => api.series(/requests_total\{.*404/)).toHaveLength(2)
  const before = await api.series(/^zonemesh_api/)
  for (let index = 2; index < 1_000; index += 1) await call(index)
  await expect
    .poll(() => api.series(/requests_total\{method="any",route="none",status="404"\} 1\d\d\d$/))
    .toHaveLength(1)
  expect((await api.series(/^zonemesh_api/)).length).toBe(before.length)
}, 60_000)

test('MT7 a request is measured from its start to the end of its response, and a stream of events is not', async () => {
  await using api = await scene()
  const left = new AbortController()
  const events = await fetch(`${api.base}/_events`, {
    signal: left.signal,
    headers: { accept: 'text/event-stream' },
  })
  expect(events.status).toBe(200)
  left.abort()
  await api.call('GET', '/meshes')
  await expect
    .poll(async () => [...(await api.series(/requests_total\{/))].sort())
    .toEqual([
      'zonemesh_api_requests_total{method="GET",route="/_events",status="aborted"} 1',
      'zonemesh_api_requests_total{method="GET",route="/meshes",status="200"} 1',
    ])
  const measured = await api.series(/^zonemesh_api_request_duration_seconds_count/)
  expect(measured).toEqual(['zonemesh_api_request_duration_seconds_count{method="GET",route="/meshes"} 1'])
})
