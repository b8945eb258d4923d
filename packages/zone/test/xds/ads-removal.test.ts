import { typeUrls } from '@zonemesh/core/emit/table.ts'
import { expect, test } from 'vitest'
import { doubtOf } from '../../src/xds/ads-state.ts'
import { clusterOf, createScript, listenerOf, one, slow, startedScript } from './ads-script.ts'

test('X16 a name is never in one response twice, and removals are in the first response only', () => {
  const script = createScript({ bytesMax: 1 })
  script.request('cluster')
  script.request('listener')
  const wide = (name: string) => one(name, 1, { bytes: Uint8Array.from([0x08, 0x08]) })
  script.table(1, { cluster: [], listener: [wide('a'), wide('b')] })
  expect(script.table(2, { listener: [wide('c'), wide('d')] })).toEqual(['listener 4: c@1 -a -b', 'listener 5: d@1'])
  const { table, tables, ack, proven } = startedScript()
  table(2, { ...tables, cluster: [clusterOf('a', 2), clusterOf('b')] })
  ack('cluster', 5)
  ack('assignment', 6)
  const next = { ...tables, cluster: [clusterOf('a', 3), clusterOf('b')], assignment: [one('e-a', 2), one('e-b', 1)] }
  expect(proven.has('e-a@2')).toBe(false)
  expect(table(3, next).slice(1)).toEqual(['assignment 8: e-a@1', 'assignment 9: e-a@2'])
})

test('X17 X24 a cluster is removed 2 s after the routes, or 5 s after the listeners, that named it', () => {
  const script = createScript()
  script.request('cluster')
  script.request('listener')
  script.request('route', { subscribe: ['r'] })
  const clusters = [one('a', 1), one('b', 1), one('c', 1), one('d', 1)]
  const first = {
    cluster: clusters,
    listener: [one('l', 1, { routes: ['r'] }), listenerOf('m', 1, 'c', 'd')],
    route: [one('r', 1, { clusters: ['a', 'b'] })],
  }
  expect(script.table(1, first)).toEqual(['cluster 1: a@1 b@1 c@1 d@1', 'listener 2: l@1 m@1', 'route 3: r@1'])
  script.ack('cluster', 1)
  script.ack('listener', 2)
  expect(script.ack('route', 3)).toEqual(['accepted r@1', 'served 1'])
  // The route drops b, and the removed listener drops c and d.
  const second = {
    cluster: clusters.slice(0, 1),
    listener: [one('l', 1, { routes: ['r'] })],
    route: [one('r', 2, { clusters: ['a'] })],
  }
  expect(script.table(2, second)).toEqual(['listener 4: -m', 'route 5: r@2'])
  // Until both have their verdict, the proxy may use the old ones.
  expect(script.ack('listener', 4)).toEqual(['timer leave:6 5000'])
  expect(script.ack('route', 5)).toEqual(['accepted r@2', 'timer leave:7 2000', 'served 2'])
  expect(script.timer('leave:7')).toEqual(['cluster 8: -b'])
  expect(script.timer('leave:6')).toEqual(['cluster 9: -c -d'])
  expect(script.timer('leave:6')).toEqual([])
  script.ack('cluster', 8)
  expect(script.ack('cluster', 9)).toEqual([])
})

test('X24 a listener that changes may keep connections with its former routes, so their clusters wait for it', () => {
  const script = createScript()
  script.request('cluster')
  script.request('listener')
  script.request('route', { subscribe: ['r'] })
  const tables = (version: number, ...names: string[]) => ({
    cluster: names.map((name) => one(name, 1)),
    listener: [one('l', version, { routes: ['r'] })],
    route: [one('r', version, { clusters: names })],
  })
  script.table(1, tables(1, 'a', 'b'))
  for (const [type, nonce] of [
    ['cluster', 1],
    ['listener', 2],
    ['route', 3],
  ] as const)
    script.ack(type, nonce)
  expect(script.table(2, tables(2, 'a'))).toEqual(['listener 4: l@2', 'route 5: r@2'])
  expect(script.ack('listener', 4)).toEqual(['accepted l@2'])
  expect(script.ack('route', 5)).toEqual(['accepted r@2', 'timer leave:6 5000', 'served 2'])
})

test('X17 a cluster that returns, or is named again, while it waits is not removed', () => {
  const { table, tables, ack, timer } = startedScript()
  const without = { ...tables, cluster: [clusterOf('a')], listener: [listenerOf('l', 2, 'a')] }
  expect(table(2, without)).toEqual(['listener 5: l@2'])
  expect(ack('listener', 5)).toEqual(['accepted l@2', 'timer leave:6 5000', 'served 2'])
  expect(table(3, { ...tables, listener: [listenerOf('l', 2, 'a')] })).toEqual(['served 3'])
  expect(timer('leave:6')).toEqual([])
  // It begins to wait again, by the default of a route, because nothing named it since it returned.
  expect(table(4, without)).toEqual(['timer leave:7 2000', 'served 4'])
  expect(timer('leave:6')).toEqual([])
  expect(timer('leave:7')).toEqual(['cluster 8: -b'])
})

test('X17 a cluster that a held route table names again while it waits begins to wait anew', () => {
  const script = createScript()
  script.request('cluster')
  script.request('listener')
  script.request('route', { subscribe: ['r', 'other'] })
  const via = (route: string, version: number) => [one('l', version, { routes: [route] })]
  const table = (version: number, to: string) => one('r', version, { clusters: [to] })
  const other = one('other', 1, { clusters: ['b'] })
  const clusters = [one('a', 1), one('b', 1)]
  script.table(1, { cluster: clusters, listener: via('r', 1), route: [table(1, 'a'), other] })
  for (const [type, nonce] of [
    ['cluster', 1],
    ['listener', 2],
    ['route', 3],
    ['route', 4],
  ] as const)
    script.ack(type, nonce)
  // The listener moves to the other table. The proxy keeps the former table, which names a.
  const left = { cluster: clusters.slice(1), listener: via('other', 2), route: [table(1, 'a'), other] }
  expect(script.table(2, left)).toEqual(['listener 5: l@2', 'route 6: other@1'])
  expect(script.ack('listener', 5)).toEqual(['accepted l@2', 'timer leave:7 5000'])
  script.ack('route', 6)
  // The listener returns to the former table, which no longer names a: until the proxy accepts it, it may use a.
  const returned = { cluster: clusters.slice(1), listener: via('r', 3), route: [table(2, 'b'), other] }
  expect(script.table(3, returned)).toEqual(['listener 8: l@3', 'route 9: r@2'])
  expect(script.timer('leave:7')).toEqual([])
  script.ack('listener', 8)
  expect(script.ack('route', 9)).toEqual(['accepted r@2', 'timer leave:10 5000', 'served 3'])
  expect(script.timer('leave:10')).toEqual(['cluster 11: -a'])
})

test('X17 X20 a proxy that reconnects keeps clusters while the content of its listeners is unknown', () => {
  const script = createScript()
  script.request('cluster', { initial: { a: 'a@1', b: 'b@1' } })
  script.request('listener', { initial: { l: 'l@0' } })
  const tables = { cluster: [one('a', 1)], listener: [listenerOf('l', 1, 'a')] }
  expect(script.table(1, tables)).toEqual(['listener 1: l@1'])
  // Its references are unknown, so the wait is that of a listener.
  expect(script.ack('listener', 1)).toEqual(['accepted l@1', 'timer leave:2 5000', 'served 1'])
  expect(script.timer('leave:2')).toEqual(['cluster 3: -b'])
})

test('X17 a proxy that reconnects keeps clusters while a route table that its listener uses is unknown', () => {
  const script = createScript()
  script.request('cluster', { initial: { a: 'a@1', b: 'b@1' } })
  script.request('listener', { initial: { l: 'l@1' } })
  script.request('route', { subscribe: ['r', 'unused'], initial: { r: 'r@0', unused: 'unused@0' } })
  const tables = {
    cluster: [one('a', 1)],
    listener: [one('l', 1, { routes: ['r'] })],
    route: [one('r', 1, { clusters: ['a'] })],
  }
  expect(script.table(1, tables)).toEqual(['route 1: r@1'])
  expect(script.ack('route', 1)).toEqual(['accepted r@1', 'timer leave:2 5000', 'served 1'])
})

test('X13 doubtful resources of a former stream are sent again or removed, if the proxy subscribes to them', () => {
  const doubtful = new Map([
    [typeUrls.cluster, ['a', 'gone']],
    [typeUrls.assignment, ['e', 'other']],
  ])
  const script = createScript({ doubtful })
  script.request('cluster', { initial: { a: 'a@1' } })
  script.request('listener', { initial: {} })
  script.request('assignment', { subscribe: ['e'], initial: { e: 'e@1' } })
  const sent = script.table(1, {
    cluster: [one('a', 1, { assignment: 'e' })],
    assignment: [one('e', 1), one('other', 1)],
  })
  expect(sent).toEqual(['cluster 2: a@1', 'assignment 3: e@1', 'listener 4:', 'timer leave:1 5000'])
  expect(script.timer('leave:1')).toEqual(['cluster 5: -gone'])
  expect(doubtOf(script.state)).toEqual(
    new Map([
      [typeUrls.cluster, ['a', 'gone']],
      [typeUrls.assignment, ['e']],
    ]),
  )
})

test('X13 what a stream leaves in doubt are uncertain versions, unanswered responses, and the doubt of types without a request', () => {
  const doubtful = new Map([
    [typeUrls.route, ['r']],
    [typeUrls.cluster, ['old']],
  ])
  const script = createScript({ doubtful })
  expect(doubtOf(script.state)).toEqual(doubtful)
  script.request('cluster')
  script.request('listener')
  script.table(1, { cluster: [one('a', 1), one('b', 1)] })
  script.ack('listener', 3)
  expect(doubtOf(script.state)).toEqual(
    new Map([
      [typeUrls.cluster, ['old', 'a', 'b']],
      [typeUrls.route, ['r']],
    ]),
  )
  script.ack('cluster', 2)
  expect(doubtOf(script.state).get(typeUrls.cluster)).toEqual(['old'])
})

test('X19 without a request for clusters every requested assignment is sent, and routes wait for no cluster', () => {
  const script = createScript()
  script.table(1, {
    cluster: [slow('a', 1, { assignment: 'e' })],
    assignment: [one('e', 1)],
    route: [one('r', 1, { clusters: ['a'] })],
  })
  expect(script.request('assignment', { subscribe: ['e'], initial: { e: 'e@1' } })).toEqual(['assignment 1: e@1'])
  const late = createScript()
  late.table(1, { cluster: [one('a', 1, { assignment: 'e' })], assignment: [one('e', 1)] })
  late.request('cluster', { initial: { a: 'a@1' } })
  expect(late.request('assignment', { subscribe: ['e'], initial: { e: 'e@1' } })).toEqual([])
})

test('X25 responses of a type without a request do not count if no cluster or listener needs them', () => {
  const script = createScript()
  script.request('cluster')
  script.request('listener')
  const tables = {
    cluster: [one('a', 1, { assignment: 'e', secrets: ['s'] })],
    assignment: [one('e', 1)],
    secret: [one('s', 1)],
  }
  expect(script.table(1, tables)).toEqual(['cluster 1: a@1', 'assignment 2: e@1', 'secret 3: s@1', 'listener 4:'])
  expect(script.ack('listener', 4)).toEqual([])
  // Envoy refuses the cluster and thereby never requests its assignment and its secret.
  expect(script.nack('cluster', 1)).toEqual(['refused a@1 content wrong', 'served 1'])
  const accepted = createScript()
  accepted.request('cluster')
  accepted.request('listener')
  accepted.table(1, tables)
  accepted.ack('listener', 4)
  expect(accepted.ack('cluster', 1)).toEqual(['accepted a@1'])
  accepted.request('assignment', { subscribe: ['e'] })
  expect(accepted.ack('assignment', 2)).toEqual(['accepted e@1'])
  accepted.request('secret', { subscribe: ['s'], initial: { s: 's@1' } })
  expect(accepted.ack('secret', 3)).toEqual(['accepted s@1', 'served 1'])
})

test('X25 a verdict shows that Envoy has dropped older responses of its type', () => {
  const { table, tables, ack } = startedScript()
  expect(table(2, { ...tables, assignment: [one('e-a', 2), one('e-b', 2)] })).toEqual([
    'assignment 5: e-a@2',
    'assignment 6: e-b@2',
  ])
  // Response 5 was dropped, so it is sent again with the next flush.
  expect(ack('assignment', 6)).toEqual(['accepted e-b@2', 'served 2'])
  expect(table(3, { ...tables, assignment: [one('e-a', 2), one('e-b', 2)] })).toEqual(['assignment 7: e-a@2'])
})
