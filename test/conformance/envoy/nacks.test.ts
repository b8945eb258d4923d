import { createServer } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { assignment, badCluster, certificateSecret, cluster, listener, route, staticCluster } from './resources.ts'
import { createCertificate, freePort, probe, startUpstream, type Upstream, until } from './rig.ts'
import { keepAsking, type Scene, startScene } from './scene.ts'

let scene: Scene
let a: Upstream
let b: Upstream
let port: number

beforeAll(async () => {
  // No removal of one test may appear in the flow of another.
  scene = await startScene({ ads: { bindRetryMs: 50, retryMs: 600_000, drainMs: 600_000 } })
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

const refusedNames = (from: number) => scene.zone.refusals.slice(from).map((refusal) => refusal.name)

test('X11 X13 one bad cluster among good ones: the good ones serve, and only the bad one gets the verdict', async () => {
  const before = scene.zone.refusals.length
  const contributions = new Map([['global/Policy/default/p', '1']])
  scene.put('cluster', staticCluster('G1', b.port), badCluster('BAD', contributions), staticCluster('G2', b.port))
  scene.put('route', route('r', 'G2'))
  await scene.settle()
  expect(scene.sends().filter((line) => line.startsWith('-> CDS'))).toEqual([
    '-> CDS G1 BAD G2',
    '-> CDS G1',
    '-> CDS BAD',
    '-> CDS G2',
  ])
  expect(refusedNames(before)).toEqual(['BAD'])
  expect(scene.zone.refusals.at(-1)).toMatchObject({ reason: 'content', contributions: ['global/Policy/default/p'] })
  expect(await probe(port)).toBe('b')
  scene.drop('cluster', 'BAD').put('route', route('r', 'A'))
  await scene.settle()
})

test('X12 a refused assignment does not empty a live cluster that changes with it', async () => {
  scene
    .put('cluster', cluster('A', { connectSeconds: 2 }), cluster('N1'))
    .put('assignment', assignment('N1', [1], 'no.address'))
  const asking = keepAsking(port, 'a')
  await scene.settle()
  expect(refusedNames(-1)).toEqual(['N1'])
  expect(await asking.stop()).toEqual([])
  scene.drop('cluster', 'N1').drop('assignment', 'N1')
  await scene.settle()
})

test('X4 X12 a live cluster with a refused new assignment keeps its endpoints', async () => {
  scene.put('cluster', cluster('A', { connectSeconds: 3 })).put('assignment', assignment('A', [1], 'no.address'))
  const asking = keepAsking(port, 'a')
  await scene.settle()
  expect(refusedNames(-1)).toEqual(['A'])
  // Another change of the cluster, while its assignment is refused.
  scene.put('cluster', cluster('A', { connectSeconds: 1 }))
  await scene.settle()
  expect(scene.sends()).toEqual(['-> CDS A', '-> EDS A'])
  expect(await asking.stop()).toEqual([])
  scene.put('assignment', assignment('A', [b.port]))
  await scene.settle()
  await until('the next version is taken', async () => (await probe(port)) === 'b')
  scene.put('assignment', assignment('A', [a.port]))
  await scene.settle()
})

test('X12 after a refused route table the old one serves, and only changed parts are blamed', async () => {
  const good = new Map([['global/MeshHTTPRoute/default/one', '1']])
  const more = new Map([...good, ['global/MeshHTTPRoute/default/two', '2']])
  scene.put('route', route('r', 'A', { note: 'good', contributions: good }))
  await scene.settle()
  scene.put('route', route('r', 'A', { domains: [['*'], ['*', 'x']], contributions: more }))
  await scene.settle()
  expect(scene.zone.refusals.at(-1)).toMatchObject({ name: 'r', contributions: ['global/MeshHTTPRoute/default/two'] })
  expect(scene.zone.refusals.at(-1)?.detail).toContain('Only a single wildcard domain')
  expect(await probe(port)).toBe('a')
  scene.put('route', route('r', 'A'))
  await scene.settle()
})

test('X12 a new listener with a refused route table opens with an empty table, and the next table repairs it', async () => {
  const own = await freePort()
  scene
    .put('listener', listener('L12', own, { routes: 'r12' }))
    .put('route', route('r12', 'A', { domains: [['*'], ['*', 'y']] }))
  await scene.settle()
  expect(await probe(own)).toBe('[404]')
  scene.put('route', route('r12', 'A'))
  await scene.settle()
  await until('it serves', async () => (await probe(own)) === 'a')
})

test('X13 a good listener of a refused response lives, and is removed by name', async () => {
  const own = await freePort()
  const bad = listener('LBAD', await freePort(), { inline: 'NOPE' })
  scene.put('listener', listener('LGOOD', own, { inline: 'A' }), bad)
  await scene.settle()
  expect(refusedNames(-1)).toEqual(['LBAD'])
  expect(await probe(own)).toBe('a')
  expect(scene.zone.absolved).not.toContain('LBAD')
  scene.drop('listener', 'LGOOD', 'LBAD')
  await scene.settle()
  expect(scene.zone.absolved).toContain('LBAD')
  expect(scene.sends()).toEqual(['-> LDS -LGOOD'])
  await until('it is gone', async () => (await probe(own)) === 'ECONNREFUSED')
})

test('X14 requests for absent names are answered: an assignment, a route table, a secret', async () => {
  const [plain, secure] = [await freePort(), await freePort()]
  scene.put('cluster', cluster('NOEDS')).put('route', route('r14', 'NOEDS'))
  scene.put('listener', listener('L14', plain, { routes: 'r14' }))
  await scene.settle()
  expect(await probe(plain)).toBe('[503]')
  scene.put(
    'listener',
    listener('L14b', await freePort(), { routes: 'none' }),
    listener('L14c', secure, { inline: 'A', secret: 'none' }),
  )
  await scene.settle()
  expect(scene.sends()).toContain('-> RDS none')
  expect(scene.sends()).toContain('-> SDS -none')
  await until('it is open', async () => !['ECONNREFUSED', 'a'].includes(await probe(secure, true)))
  const certificate = await createCertificate()
  scene.put('secret', certificateSecret('none', certificate.certificate, certificate.key))
  await scene.settle()
  await until('a late secret repairs', async () => (await probe(secure, true)) === 'a')
  scene.put('assignment', assignment('NOEDS', [a.port]))
  await scene.settle()
  await until('late endpoints repair', async () => (await probe(plain)) === 'a')
})

test('X15 a live cluster is emptied by an assignment without endpoints, never by a removal', async () => {
  scene.drop('assignment', 'NOEDS')
  await scene.settle()
  expect(scene.sends()).toEqual(['-> EDS NOEDS'])
  scene.put('cluster', cluster('NOEDS', { connectSeconds: 2 }))
  await scene.settle()
  expect(scene.sends()).toEqual(['-> CDS NOEDS', '-> EDS NOEDS'])
})

test('X16 tables of a removed listener are neither removed nor emptied, and no name is both added and removed', async () => {
  scene.drop('listener', 'L14').drop('route', 'r14')
  await scene.settle()
  expect(scene.sends()).toEqual(['-> LDS -L14'])
  scene.put('listener', listener('L14', await freePort(), { routes: 'r14' })).put('route', route('r14', 'A'))
  await scene.settle()
  for (const send of scene.zone.sent()) {
    const removed = new Set(send.removed)
    expect(send.changed.filter((one) => removed.has(one.name))).toEqual([])
  }
})

test('X13 an address in use is tried again until it is free, and the other listeners of the response serve in the meantime', async () => {
  const own = await freePort()
  const taken = await freePort()
  const holder = createServer()
  await new Promise<void>((resolve) => holder.listen(taken, '127.0.0.1', resolve))
  scene.put('listener', listener('LT', taken, { inline: 'A' }), listener('LF', own, { inline: 'A' }))
  await scene.settle()
  expect(scene.zone.refusals.at(-1)).toMatchObject({ name: 'LT', reason: 'bind', contributions: [] })
  expect(await probe(own)).toBe('a')
  expect(scene.zone.absolved).not.toContain('LT')
  await new Promise((resolve) => holder.close(resolve))
  await until('it serves once the address is free', async () => (await probe(taken)) === 'a')
  await until('the verdict is over', async () => scene.zone.absolved.includes('LT'))
})
