import { afterAll, beforeAll, expect, test } from 'vitest'
import { assignment, authoritySecret, certificateSecret, cluster, listener, route, staticCluster } from './resources.ts'
import { createCertificate, freePort, probe, startTlsUpstream, startUpstream, until } from './rig.ts'
import { keepAsking, type Scene, startScene } from './scene.ts'

let scene: Scene
let a: Awaited<ReturnType<typeof startUpstream>>
let b: Awaited<ReturnType<typeof startUpstream>>
let port: number

beforeAll(async () => {
  scene = await startScene()
  a = await startUpstream('a')
  b = await startUpstream('b')
  port = await freePort()
  scene.put('cluster', cluster('A')).put('assignment', assignment('A', [a.port]))
  scene.put('route', route('r', 'A')).put('listener', listener('L', port, { routes: 'r' }))
  await scene.settle()
})
afterAll(async () => {
  await scene[Symbol.asyncDispose]()
  await Promise.all([a, b].map((one) => one[Symbol.asyncDispose]()))
})

test('X21 the first listener is sent after the first clusters and their assignments', async () => {
  const sends = scene.sends()
  expect(sends.indexOf('-> CDS A')).toBe(0)
  expect(sends.indexOf('-> EDS A')).toBe(1)
  expect(sends.indexOf('-> LDS L')).toBeGreaterThan(1)
  expect(await probe(port)).toBe('a')
})

test('X1 a changed cluster is followed by its unchanged assignment, and is warm at once', async () => {
  scene.put('cluster', cluster('A', { connectSeconds: 2 }))
  const asking = keepAsking(port, 'a')
  await scene.settle()
  expect(await asking.stop()).toEqual([])
  expect(scene.sends()).toEqual(['-> CDS A', '-> EDS A'])
  expect(scene.timeOf(/<- CDS ack/) - scene.timeOf(/-> CDS/)).toBeLessThan(2_000)
})

test('X2 X4 a changed cluster with a new assignment is sent first, then the proven assignment, then the new one', async () => {
  scene.put('cluster', cluster('A', { connectSeconds: 3 })).put('assignment', assignment('A', [b.port]))
  await scene.settle()
  expect(scene.sends()).toEqual(['-> CDS A', '-> EDS A', '-> EDS A'])
  await until('b answers', async () => (await probe(port)) === 'b')
  scene.put('assignment', assignment('A', [a.port]))
  await scene.settle()
  expect(scene.sends()).toEqual(['-> EDS A'])
})

test('X3 a second cluster with the same assignment gets it too, without a request', async () => {
  const second = await freePort()
  scene.put('cluster', cluster('A2', { assignment: 'A' }))
  scene.put('route', route('r2', 'A2')).put('listener', listener('L2', second, { routes: 'r2' }))
  await scene.settle()
  expect(scene.sends().slice(0, 2)).toEqual(['-> CDS A2', '-> EDS A'])
  expect(scene.flow().filter((line) => line.startsWith('<- EDS +'))).toEqual([])
  expect(await probe(second)).toBe('a')
})

test('X5 X6 secrets of a new cluster are sent in the same flush, and a change of the cluster does not repeat them', async () => {
  const certificate = await createCertificate()
  await using upstream = await startTlsUpstream('secure', certificate)
  const secrets = { identity: 'id', authority: 'ca' }
  scene.put(
    'secret',
    certificateSecret('id', certificate.certificate, certificate.key),
    authoritySecret('ca', certificate.certificate),
  )
  scene.put('cluster', cluster('S', { secrets })).put('assignment', assignment('S', [upstream.port]))
  scene.put('route', route('r', 'S'))
  scene.commit()
  await until('the first right answer', async () => (await probe(port)) === 'secure')
  const firstFlush = scene.sends().slice(0, 5)
  expect(firstFlush).toEqual(['-> CDS S', '-> EDS S', '-> SDS id', '-> SDS ca', '-> RDS r'])
  await until('the flow is at rest', () => scene.flow().filter((line) => line === '<- SDS ack').length >= 4)
  scene.put('cluster', cluster('S', { secrets, connectSeconds: 2 }))
  await scene.settle()
  expect(scene.sends()).toEqual(['-> CDS S', '-> EDS S'])
  expect(await probe(port)).toBe('secure')
  scene.put('route', route('r', 'A'))
  await scene.settle()
  expect(await probe(port)).toBe('a')
})

test('X7 the same content under another version is accepted and changes nothing', async () => {
  const modified = await scene.stat('cluster_manager.cluster_modified')
  const same = cluster('A', { connectSeconds: 3 })
  scene.put('cluster', { ...same, version: 'another' })
  await scene.settle()
  expect(scene.sends()[0]).toBe('-> CDS A')
  expect(await scene.stat('cluster_manager.cluster_modified')).toBe(modified)
  scene.put('cluster', same)
  await scene.settle()
})

test('X8 X10 a route to a new cluster with health checks waits for the ack, which arrives when the cluster is warm', async () => {
  let healthy = false
  const held: (() => void)[] = []
  await using upstream = await startUpstream('checked', {
    handle: () => 200,
    hold: (request, done) => (request.url !== '/health' || healthy ? done() : void held.push(done)),
  })
  scene.put('cluster', cluster('H', { healthCheck: true })).put('assignment', assignment('H', [upstream.port]))
  scene.put('route', route('r', 'H'))
  const asking = keepAsking(port, 'a')
  scene.commit()
  await until('it is warming', async () =>
    (await scene.envoy.admin('/config_dump')).includes('dynamic_warming_clusters'),
  )
  await until('it is checked', () => held.length > 0)
  expect(scene.sends().filter((line) => line.includes('RDS'))).toEqual([])
  expect(await asking.stop()).toEqual([])
  healthy = true
  for (const done of held) done()
  await until('the new route answers', async () => (await probe(port)) === 'checked')
  expect(scene.timeOf(/-> RDS r/)).toBeGreaterThan(scene.timeOf(/<- CDS ack/))
  scene.put('route', route('r', 'A'))
  await scene.settle()
})

test('X9 a listener serves when its route table arrives, which is sent right after it', async () => {
  const own = await freePort()
  scene
    .put('cluster', staticCluster('C', b.port))
    .put('route', route('r9', 'C'))
    .put('listener', listener('L9', own, { routes: 'r9' }))
  scene.commit()
  await until('it serves', async () => (await probe(own)) === 'b')
  expect(scene.sends().slice(0, 3)).toEqual(['-> CDS C', '-> LDS L9', '-> RDS r9'])
})

test('X22 a cluster that is removed and added again is answered again', async () => {
  scene.put('cluster', cluster('B')).put('assignment', assignment('B', [b.port]))
  await scene.settle()
  scene.drop('cluster', 'B').drop('assignment', 'B')
  scene.commit()
  await until('it is gone', () => scene.flow().includes('<- EDS -B'))
  scene
    .put('cluster', cluster('B'))
    .put('assignment', assignment('B', [b.port]))
    .put('route', route('r', 'B'))
  await scene.settle()
  await until('it serves', async () => (await probe(port)) === 'b')
  scene.put('route', route('r', 'A'))
  await scene.settle()
})

test('X28 no request fails while clusters change under load', async () => {
  const asking = keepAsking(port, 'a')
  for (let round = 0; round < 20; round++) {
    scene.put('cluster', cluster('A', { connectSeconds: 1 + (round % 3) }))
    await scene.settle()
  }
  expect(await asking.stop()).toEqual([])
  expect(scene.envoy.log.filter((line) => /\[(warning|error|critical)\]/.test(line))).toEqual([])
})
