import { typeUrls } from '@zonemesh/core/emit/table.ts'
import { expect, test } from 'vitest'
import { clusterOf, createScript, listenerOf, one, slow, startedScript } from './ads-script.ts'

test('X21 X6 X9 the first table is sent in the order clusters, assignments, secrets, runtime, listeners, their secrets, routes', () => {
  const script = createScript()
  expect(script.request('cluster')).toEqual([])
  expect(script.request('listener')).toEqual([])
  expect(script.request('runtime', { subscribe: ['layer'] })).toEqual([])
  const tables = {
    cluster: [one('a', 1, { assignment: 'e', secrets: ['s1'] })],
    assignment: [one('e', 1)],
    secret: [one('s1', 1), one('s2', 1)],
    listener: [one('l', 1, { routes: ['r'], secrets: ['s2'] })],
    route: [one('r', 1, { clusters: ['a'] })],
    runtime: [one('layer', 1)],
  }
  expect(script.table(1, tables)).toEqual([
    'cluster 1: a@1',
    'assignment 2: e@1',
    'secret 3: s1@1',
    'runtime 4: layer@1',
    'listener 5: l@1',
    'secret 7: s2@1',
    'route 6: r@1',
  ])
  // The proxy subscribes to what it was sent. An assignment is not sent twice.
  script.ack('cluster', 1)
  expect(script.request('assignment', { subscribe: ['e'] })).toEqual([])
  expect(script.table(2, tables)).toEqual([])
})

test('X21 without a request for clusters no listener is sent, and without one for listeners no listener either', () => {
  const script = createScript()
  const tables = { cluster: [one('a', 1)], listener: [listenerOf('l', 1, 'a')] }
  script.table(1, tables)
  expect(script.request('listener')).toEqual([])
  expect(script.request('cluster')).toEqual(['cluster 1: a@1', 'listener 2: l@1'])
  const other = createScript()
  other.table(1, tables)
  expect(other.request('cluster')).toEqual(['cluster 1: a@1'])
  // The mark is not served before the listener.
  expect(other.ack('cluster', 1)).toEqual(['accepted a@1'])
  expect(other.request('listener')).toEqual(['listener 2: l@1'])
  expect(other.ack('listener', 2)).toEqual(['accepted l@1', 'served 1'])
})

test('X23 an empty table is answered once for clusters and listeners, and a proxy that has resources gets no empty response', () => {
  const script = createScript()
  script.request('cluster')
  script.request('listener')
  expect(script.table(1, {})).toEqual(['cluster 1:', 'listener 2:'])
  expect(script.ack('cluster', 1)).toEqual([])
  expect(script.ack('listener', 2)).toEqual(['served 1'])
  expect(script.table(2, {})).toEqual(['served 2'])
  const resumed = createScript()
  resumed.request('cluster', { initial: { a: 'a@1' } })
  resumed.request('listener', { initial: { l: 'l@1' } })
  expect(resumed.table(1, { cluster: [one('a', 1)], listener: [listenerOf('l', 1)] })).toEqual(['served 1'])
})

test('X7 requests for other types have no effect', () => {
  const script = createScript()
  script.request('cluster')
  expect(script.request('unknown', { subscribe: ['x'] })).toEqual([])
  expect(script.table(1, { cluster: [one('a', 1)] })).toEqual(['cluster 1: a@1'])
})

test('X14 X15 an absent name is answered: removed if this is harmless, empty otherwise', () => {
  const script = createScript()
  script.request('cluster')
  script.request('listener')
  script.table(1, { cluster: [clusterOf('a')] })
  expect(script.request('assignment', { subscribe: ['e-a', 'none'] })).toEqual(['assignment 4: -none'])
  expect(script.request('secret', { subscribe: ['none'] })).toEqual(['secret 5: -none'])
  expect(script.request('route', { subscribe: ['none'] })).toEqual(['route 6: none empty'])
  expect(script.request('runtime', { subscribe: ['none'] })).toEqual(['runtime 7: none empty'])
  // A name is answered once.
  expect(script.table(2, { cluster: [clusterOf('a')] })).toEqual([])
})

test('X15 a cluster whose assignment is absent gets an empty one, and assignments of other clusters stay', () => {
  const script = createScript()
  script.request('cluster')
  const clusters = [clusterOf('a'), clusterOf('b'), one('c', 1)]
  expect(script.table(1, { cluster: clusters, assignment: [one('e-b', 1)] })).toEqual([
    'cluster 1: a@1 b@1 c@1',
    'assignment 2: e-a empty',
    'assignment 3: e-b@1',
  ])
})

test('X6 X14 a secret that a listener names but no table has is not answered before the proxy asks for it', () => {
  const script = createScript()
  script.request('cluster')
  script.request('listener')
  const tables = { listener: [one('l', 1, { secrets: ['s'] })] }
  expect(script.table(1, tables)).toEqual(['cluster 1:', 'listener 2: l@1'])
  expect(script.table(2, { ...tables, secret: [one('s', 1)] })).toEqual([])
  expect(script.request('secret', { subscribe: ['s'] })).toEqual(['secret 3: s@1'])
})

test('X5 a secret that the proxy has subscribed to is not repeated when its cluster or its listener changes', () => {
  const script = createScript()
  script.request('cluster')
  script.request('listener')
  const tables = (version: number) => ({
    cluster: [one('a', version, { secrets: ['s'] })],
    secret: [one('s', 1)],
    listener: [one('l', version, { secrets: ['s'] })],
  })
  expect(script.table(1, tables(1))).toEqual(['cluster 1: a@1', 'secret 2: s@1', 'listener 3: l@1', 'secret 4: s@1'])
  script.request('secret', { subscribe: ['s'], initial: { s: 's@1' } })
  expect(script.table(2, tables(2))).toEqual(['cluster 5: a@2', 'listener 6: l@2'])
})

test('X1 X3 X4 a changed cluster is followed by the accepted assignment before a new unproven one', () => {
  const { table, tables, ack } = startedScript()
  const next = { ...tables, cluster: [clusterOf('a', 2), clusterOf('b')] }
  // The assignment is unchanged: it is sent once.
  expect(table(2, next)).toEqual(['cluster 5: a@2', 'assignment 6: e-a@1'])
  const third = { ...next, cluster: [clusterOf('a', 3), clusterOf('b')], assignment: [one('e-a', 2), one('e-b', 2)] }
  // The assignment of an unchanged cluster has no accepted one before it.
  expect(table(3, third)).toEqual([
    'cluster 7: a@3',
    'assignment 8: e-a@1',
    'assignment 9: e-a@2',
    'assignment 10: e-b@2',
  ])
  for (const nonce of [5, 7]) ack('cluster', nonce)
  for (const nonce of [6, 8, 9, 10]) ack('assignment', nonce)
  const fourth = { ...third, cluster: [clusterOf('a', 4), clusterOf('b')], assignment: [one('e-a', 1), one('e-b', 2)] }
  // A proven assignment needs no other one before it.
  expect(table(4, fourth)).toEqual(['cluster 11: a@4', 'assignment 12: e-a@1'])
})

test('X11 X13 resources of a refused response are sent one by one, and only the bad one is refused', () => {
  const script = createScript()
  script.request('cluster')
  script.request('listener')
  expect(script.table(1, { cluster: [one('a', 1), one('b', 1)] })).toEqual(['cluster 1: a@1 b@1', 'listener 2:'])
  script.ack('listener', 2)
  expect(script.nack('cluster', 1)).toEqual(['cluster 3: a@1', 'cluster 4: b@1'])
  expect(script.ack('cluster', 3)).toEqual(['accepted a@1'])
  const clusters = (version: number) => ({
    cluster: [one('a', 1), one('b', version, { contributions: new Map([['row', String(version)]]) })],
  })
  expect(script.nack('cluster', 4, 'bad b')).toEqual(['refused b@1 content bad b', 'served 1'])
  // The refused version is not sent again, another version is, and its acceptance ends the refusal.
  expect(script.table(2, { cluster: [one('a', 1), one('b', 1)] })).toEqual(['served 2'])
  expect(script.table(3, clusters(2))).toEqual(['cluster 5: b@2'])
  expect(script.ack('cluster', 5)).toEqual(['accepted b@2', 'absolved b', 'served 3'])
  // Only contributions that differ from the accepted version are blamed.
  const changed = one('b', 3, { contributions: new Map(Object.entries({ row: '2', new: '1' })) })
  script.table(4, { cluster: [one('a', 1), changed] })
  expect(script.nack('cluster', 6, 'no')).toEqual(['refused b@3 content no new', 'served 4'])
  // A refusal ends when the resource is no longer in the table.
  expect(script.table(5, { cluster: [one('a', 1)] })[0]).toBe('absolved b')
  expect(script.nack('cluster', 99)).toEqual([])
  expect(script.ack('cluster', 99)).toEqual([])
})

test('X13 an address in use is tried again after 2 s, which doubles up to 32 s, and from the start after a success', () => {
  const script = createScript()
  script.request('cluster')
  script.request('listener')
  script.table(1, { listener: [listenerOf('l', 1)] })
  const bind = "cannot bind '10.0.0.1:80': Address already in use"
  const delays: string[] = []
  let nonce = 2
  for (let round = 0; round < 6; round += 1) {
    const [refused, timer = ''] = script.nack('listener', nonce, bind)
    expect(refused).toBe(`refused l@1 bind ${bind}`)
    delays.push(timer)
    nonce += 1
    expect(script.timer('bind:l')).toEqual([`listener ${nonce}: l@1`])
  }
  expect(delays).toEqual([2, 4, 8, 16, 32, 32].map((seconds) => `timer bind:l ${seconds * 1000}`))
  expect(script.ack('listener', nonce).slice(0, 2)).toEqual(['accepted l@1', 'absolved l'])
  script.table(2, { listener: [listenerOf('l', 2)] })
  expect(script.nack('listener', nonce + 1, bind)[1]).toBe('timer bind:l 2000')
  // A cluster has no address: the text is then the fault of its content.
  script.table(3, { cluster: [one('a', 1)], listener: [listenerOf('l', 2)] })
  expect(script.nack('cluster', nonce + 2, bind)[0]).toBe(`refused a@1 content ${bind}`)
})

test('X13 a refused listener is tried again with a new version of a cluster that it names, and with no other cluster', () => {
  const { table, tables, nack, ack } = startedScript()
  expect(table(2, { ...tables, listener: [listenerOf('l', 2, 'a')] })).toEqual(['listener 5: l@2'])
  expect(nack('listener', 5)[0]).toBe('refused l@2 content wrong')
  const other = { ...tables, listener: [listenerOf('l', 2, 'a')], cluster: [clusterOf('a'), clusterOf('b', 2)] }
  expect(table(3, other)).toEqual(['cluster 6: b@2', 'assignment 7: e-b@1'])
  ack('cluster', 6)
  const named = { ...other, cluster: [clusterOf('a', 2), clusterOf('b', 2)] }
  expect(table(4, named)).toEqual(['cluster 8: a@2', 'assignment 9: e-a@1', 'listener 10: l@2'])
})

test('X12 after a nack of an assignment, proven assignments of warming clusters are sent again', () => {
  const { table, tables, nack } = startedScript()
  const next = { ...tables, cluster: [clusterOf('a', 2), clusterOf('b')], assignment: [one('e-a', 1), one('e-b', 2)] }
  expect(table(2, next)).toEqual(['cluster 5: a@2', 'assignment 6: e-a@1', 'assignment 7: e-b@2'])
  // Cluster a may still be warming, so its assignment is repeated; the accepted one of b replaces the refused one.
  expect(nack('assignment', 7)).toEqual(['refused e-b@2 content wrong', 'assignment 8: e-a@1 e-b@1'])
})

test('X8 X10 listeners and routes wait for new slow clusters, until the ack or for 10 s', () => {
  const { table, tables, ack, timer, request } = startedScript()
  request('route', { subscribe: ['r'] })
  ack('route', 5)
  const next = {
    ...tables,
    cluster: [...tables.cluster, slow('c', 1, { assignment: 'e-c' })],
    assignment: [...tables.assignment, one('e-c', 1)],
    listener: [listenerOf('l', 2, 'a', 'c'), listenerOf('m', 1, 'a')],
    route: [one('r', 1, { clusters: ['c'] })],
  }
  // Other listeners do not wait.
  expect(table(2, next)).toEqual(['cluster 6: c@1', 'timer warm:6 10000', 'assignment 7: e-c@1', 'listener 8: m@1'])
  expect(ack('listener', 8)).toEqual(['accepted m@1'])
  expect(ack('assignment', 7)).toEqual(['accepted e-c@1'])
  expect(ack('cluster', 6)).toEqual(['accepted c@1', 'listener 9: l@2', 'route 10: r@1'])
  expect(ack('listener', 9)).toEqual(['accepted l@2'])
  expect(ack('route', 10)).toEqual(['accepted r@1', 'served 2'])
  // A slow cluster that the proxy has already is not awaited when it changes.
  const third = { ...next, cluster: [...tables.cluster, slow('c', 2, { assignment: 'e-c' })] }
  expect(table(3, { ...third, route: [one('r', 2, { clusters: ['c'] })] })).toEqual([
    'cluster 11: c@2',
    'assignment 12: e-c@1',
    'route 13: r@2',
  ])
  ack('cluster', 11)
  ack('assignment', 12)
  ack('route', 13)
  const fourth = { ...third, cluster: [...third.cluster, slow('d', 1)], route: [one('r', 3, { clusters: ['d'] })] }
  expect(table(4, fourth)).toEqual(['cluster 14: d@1', 'timer warm:14 10000'])
  expect(timer('warm:14')).toEqual(['route 15: r@3'])
  expect(ack('route', 15)).toEqual(['accepted r@3'])
  // The mark is served when the cluster has its verdict.
  expect(ack('cluster', 14)).toEqual(['accepted d@1', 'served 4'])
})

test('X8 a listener that waits keeps every listener that is to be removed, because it may take over an address', () => {
  const { table, tables, ack } = startedScript()
  const next = { ...tables, cluster: [...tables.cluster, slow('c', 1)], listener: [listenerOf('m', 1, 'c')] }
  expect(table(2, next)).toEqual(['cluster 5: c@1', 'timer warm:5 10000'])
  expect(ack('cluster', 5)).toEqual(['accepted c@1', 'listener 6: m@1 -l'])
})

test('X26 a mark counts from the first resource that waits, also if newer tables arrive meanwhile', () => {
  const { table, tables, ack } = startedScript()
  const next = { ...tables, cluster: [...tables.cluster, slow('c', 1)], listener: [listenerOf('l', 2, 'a', 'c')] }
  expect(table(2, next)).toEqual(['cluster 5: c@1', 'timer warm:5 10000'])
  expect(table(3, next)).toEqual([])
  expect(table(3, next)).toEqual([])
  expect(ack('cluster', 5)).toEqual(['accepted c@1', 'listener 6: l@2'])
  expect(table(4, next)).toEqual([])
  expect(ack('listener', 6)).toEqual(['accepted l@2', 'served 4'])
})

test('X26 a mark counts from the first route table that waits, also if it is the only resource that waits', () => {
  const { table, tables, ack, request } = startedScript()
  request('route', { subscribe: ['r'] })
  ack('route', 5)
  const next = { ...tables, cluster: [...tables.cluster, slow('c', 1)], route: [one('r', 1, { clusters: ['c'] })] }
  expect(table(2, next)).toEqual(['cluster 6: c@1', 'timer warm:6 10000'])
  expect(table(3, next)).toEqual([])
  expect(ack('cluster', 6)).toEqual(['accepted c@1', 'route 7: r@1'])
  expect(ack('route', 7)).toEqual(['accepted r@1', 'served 3'])
})

test('X10 the first response of a new proxy awaits no slow cluster, because Envoy acks it at once', () => {
  const script = createScript()
  script.request('cluster')
  script.request('listener')
  const tables = { cluster: [slow('a', 1)], listener: [listenerOf('l', 1, 'a')] }
  expect(script.table(1, tables)).toEqual(['cluster 1: a@1', 'listener 2: l@1'])
  // A proxy that reconnects has had its first response.
  const resumed = createScript()
  resumed.request('cluster', { initial: { old: 'old@1' } })
  resumed.request('listener', { initial: { l: 'l@0' } })
  expect(resumed.table(1, { ...tables, cluster: [slow('a', 1), one('old', 1)] })).toEqual([
    'cluster 1: a@1',
    'timer warm:1 10000',
  ])
})

test('X11 named resources share a response only if they are proven, and responses have at most the allowed bytes', () => {
  const bytes = (name: string, length: number) =>
    one(name, 1, { bytes: Uint8Array.from({ length }, (_, at) => (at % 2 === 0 ? 0x08 : 0)) })
  const script = createScript({ bytesMax: 10 })
  script.request('cluster')
  const clusters = [bytes('a', 6), bytes('b', 4), bytes('c', 2), bytes('big', 12), bytes('d', 2)]
  expect(script.table(1, { cluster: clusters })).toEqual([
    'cluster 1: a@1 b@1',
    'cluster 2: c@1',
    'cluster 3: big@1',
    'cluster 4: d@1',
  ])
  const secrets = [one('p', 1), one('q', 1), one('r', 1), one('s', 1)]
  for (const name of ['p@1', 'q@1']) script.proven.add(name)
  script.table(2, { cluster: clusters, secret: secrets })
  const subscribe = ['p', 'q', 'r', 's', 'none']
  expect(script.request('secret', { subscribe })).toEqual(['secret 5: p@1 q@1 -none', 'secret 6: r@1', 'secret 7: s@1'])
})

test('X1 X3 an assignment that is subscribed to again, or in another version, is sent', () => {
  const { request, table, tables } = startedScript()
  // It was sent before, but the proxy unsubscribed and thereby forgot it.
  request('assignment', { unsubscribe: ['e-a'] })
  expect(request('assignment', { subscribe: ['e-a'] })).toEqual(['assignment 5: e-a@1'])
  expect(request('assignment', { subscribe: ['e-a'], unsubscribe: ['e-a'] })).toEqual(['assignment 6: e-a@1'])
  expect(request('assignment', { subscribe: ['e-b'] })).toEqual([])
  expect(table(2, tables)).toEqual([])
})

test('X3 an assignment that was unsubscribed, or that is requested without clusters, is sent again', () => {
  const { request, table, tables } = startedScript()
  const next = { ...tables, assignment: [one('e-a', 2), one('e-b', 1)] }
  expect(table(2, next)).toEqual(['assignment 5: e-a@2'])
  // Its response has no verdict yet.
  request('assignment', { unsubscribe: ['e-a'] })
  expect(request('assignment', { subscribe: ['e-a'] })).toEqual(['assignment 6: e-a@2'])
  const without = createScript()
  without.table(1, { cluster: [clusterOf('a')], assignment: [one('e-a', 1)] })
  expect(without.request('assignment', { subscribe: ['e-a'] })).toEqual(['assignment 1: e-a@1'])
  expect(without.request('assignment', { subscribe: ['e-a'] })).toEqual(['assignment 2: e-a@1'])
})

test('X10 only an ack of clusters shows that later acks of clusters mean warm', () => {
  const script = createScript()
  script.request('cluster')
  script.request('listener')
  expect(script.table(1, { cluster: [one('a', 1)] })).toEqual(['cluster 1: a@1', 'listener 2:'])
  script.ack('listener', 2)
  const second = { cluster: [one('a', 1), slow('b', 1)], listener: [listenerOf('l', 1, 'b')] }
  expect(script.table(2, second)).toEqual(['cluster 3: b@1', 'listener 4: l@1'])
  script.ack('cluster', 1)
  const third = { cluster: [...second.cluster, slow('c', 1)], listener: [listenerOf('l', 2, 'c')] }
  expect(script.table(3, third)).toEqual(['cluster 5: c@1', 'timer warm:5 10000'])
})

test('X8 a cluster response that took too long is awaited no longer, and forgotten with its verdict', () => {
  const { table, tables, ack, nack, timer, state } = startedScript()
  const next = { ...tables, cluster: [...tables.cluster, slow('c', 1)], listener: [listenerOf('l', 2, 'c')] }
  table(2, next)
  expect(timer('warm:5')).toEqual(['listener 6: l@2'])
  expect([...state.gaveUpWaiting]).toEqual(['5'])
  ack('listener', 6)
  ack('cluster', 5)
  expect(state.gaveUpWaiting.size).toBe(0)
  table(3, { ...next, cluster: [...next.cluster, slow('d', 1)] })
  timer('warm:7')
  expect([...state.gaveUpWaiting]).toEqual(['7'])
  nack('cluster', 7)
  expect(state.gaveUpWaiting.size).toBe(0)
})

test('X12 after a nack of clusters, newer responses of the type are not repeated', () => {
  const script = createScript()
  script.request('cluster')
  script.request('listener')
  script.proven.add('b@1')
  script.table(1, { cluster: [one('a', 1)] })
  script.ack('listener', 2)
  expect(script.table(2, { cluster: [one('a', 1), one('b', 1)] })).toEqual(['cluster 3: b@1'])
  expect(script.nack('cluster', 1)).toEqual(['refused a@1 content wrong', 'served 1'])
})

test('X13 a version that was refused is tried again after another version', () => {
  const script = createScript()
  script.request('cluster')
  script.request('listener')
  script.table(1, { cluster: [one('a', 1)] })
  script.ack('listener', 2)
  expect(script.nack('cluster', 1)).toEqual(['refused a@1 content wrong', 'served 1'])
  expect(script.table(2, { cluster: [one('a', 2)] })).toEqual(['cluster 3: a@2'])
  expect(script.table(3, { cluster: [one('a', 1)] })).toEqual(['cluster 4: a@1'])
})

test('X11 a resource that must go alone does so until its verdict, or until it is gone', () => {
  const script = createScript()
  script.request('cluster')
  script.request('listener')
  script.table(1, { cluster: [one('a', 1), one('b', 1), one('c', 1)] })
  expect(script.nack('cluster', 1)).toEqual(['cluster 3: a@1', 'cluster 4: b@1', 'cluster 5: c@1'])
  const { alone } = script.state.sides.get(typeUrls.cluster) ?? { alone: new Map() }
  expect([...alone.keys()]).toEqual(['a', 'b', 'c'])
  for (const nonce of [3, 4]) script.ack('cluster', nonce)
  expect([...alone.keys()]).toEqual(['c'])
  expect(script.table(2, { cluster: [one('a', 2), one('b', 2), one('c', 2)] })).toEqual([
    'cluster 6: a@2 b@2',
    'cluster 7: c@2',
  ])
})
