import { Agent, request } from 'node:http'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { assignment, cluster, listener, route } from './resources.ts'
import { freePort, probe, startUpstream, type Upstream, until } from './rig.ts'
import { keepAsking, type Scene, startScene } from './scene.ts'

const retryMs = 500
const drainMs = 1_000
let scene: Scene
let a: Upstream
let b: Upstream
let port: number

beforeAll(async () => {
  scene = await startScene({ ads: { retryMs, drainMs } })
  a = await startUpstream('a')
  b = await startUpstream('b')
  port = await freePort()
  scene.put('cluster', cluster('A'), cluster('B'))
  scene.put('assignment', assignment('A', [a.port]), assignment('B', [b.port]))
  scene.put('route', route('r', 'A')).put('listener', listener('L', port, { routes: 'r' }))
  await scene.settle()
})
afterAll(async () => {
  await scene[Symbol.asyncDispose]()
  await Promise.all([a, b].map((one) => one[Symbol.asyncDispose]()))
})

test('X17 a cluster that no route uses any more is removed after the ack and the longest retry', async () => {
  scene.put('route', route('r', 'B')).drop('cluster', 'A').drop('assignment', 'A')
  const wrong = keepAsking(port, 'b')
  scene.commit()
  await until('the cluster is removed', () => scene.sends().includes('-> CDS -A'))
  expect((await wrong.stop()).filter((answer) => answer !== 'a')).toEqual([])
  expect(scene.timeOf(/-> CDS -A/) - scene.timeOf(/<- RDS ack/)).toBeGreaterThanOrEqual(retryMs - 5)
  expect(scene.timeOf(/-> CDS -A/) - scene.timeOf(/<- RDS ack/)).toBeLessThan(drainMs)
})

test('X17 X24 a cluster of a removed listener stays until its connections have drained', async () => {
  const own = await freePort()
  scene.put('cluster', cluster('D')).put('assignment', assignment('D', [a.port]))
  scene.put('route', route('rd', 'D')).put('listener', listener('LD', own, { routes: 'rd' }))
  await scene.settle()
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const ask = (): Promise<number> =>
    new Promise((resolve, reject) => {
      const sent = request({ port: own, host: '127.0.0.1', agent }, (response) => {
        response.resume().on('end', () => resolve(response.statusCode ?? 0))
      })
      sent.on('error', reject).end()
    })
  expect(await ask()).toBe(200)
  scene.drop('listener', 'LD').drop('route', 'rd').drop('cluster', 'D').drop('assignment', 'D')
  scene.commit()
  await until('the listener is gone', () => scene.flow().includes('<- LDS ack'))
  expect(await ask(), 'on the connection that drains').toBe(200)
  agent.destroy()
  await until('the cluster is removed', () => scene.sends().includes('-> CDS -D'))
  expect(scene.timeOf(/-> CDS -D/) - scene.timeOf(/<- LDS ack/)).toBeGreaterThanOrEqual(drainMs - 5)
})

test('X17 a cluster that is used again before its removal stays', async () => {
  scene
    .put('cluster', cluster('K'))
    .put('assignment', assignment('K', [a.port]))
    .put('route', route('r', 'K'))
  await scene.settle()
  scene.put('route', route('r', 'B')).drop('cluster', 'K').drop('assignment', 'K')
  await scene.settle()
  scene
    .put('route', route('r', 'K'))
    .put('cluster', cluster('K'))
    .put('assignment', assignment('K', [a.port]))
  await scene.settle()
  expect(scene.sends()).toEqual(['-> RDS r'])
  scene.put('route', route('r', 'B'))
  await scene.settle()
  expect(scene.sends().some((line) => line.includes('-K'))).toBe(false)
})

test('X18 X20 a new stream with the same table sends nothing, and no request notices', async () => {
  const wrong = keepAsking(port, 'b')
  const mark = scene.commit()
  await until('it is served', () => scene.zone.served.includes(mark))
  scene.zone.forget()
  scene.zone.served.splice(0)
  await scene.zone.restart()
  await until('Envoy is back', () => scene.zone.served.includes(mark))
  expect(scene.sends()).toEqual([])
  expect(scene.flow()[0]).toMatch(/^<- CDS irv:B,K/)
  expect(await wrong.stop()).toEqual([])
})

test('X20 after a reconnect only changed resources are sent, and absent ones are removed', async () => {
  const own = await freePort()
  scene.put('cluster', cluster('GONE')).put('assignment', assignment('GONE', [a.port]))
  scene.put('listener', listener('LGONE', own, { inline: 'GONE' }))
  await scene.settle()
  await scene.zone.server[Symbol.asyncDispose]()
  scene.drop('listener', 'LGONE').drop('cluster', 'GONE').drop('assignment', 'GONE')
  scene.put('assignment', assignment('B', [a.port]))
  const mark = scene.commit()
  await scene.zone.restart()
  await until('it is served', () => scene.zone.served.includes(mark))
  await until('the new endpoints answer', async () => (await probe(port)) === 'a')
  await until('the cluster is removed too', () => scene.sends().includes('-> CDS -GONE'))
  expect(scene.sends().sort()).toEqual(['-> CDS -GONE', '-> EDS B', '-> LDS -LGONE'])
  expect(await probe(own)).toBe('ECONNREFUSED')
})

test('X18 X19 if a new stream has no CDS, clusters count as warming: every assignment is sent, and nothing waits for CDS', async () => {
  const held: (() => void)[] = []
  let healthy = false
  await using slow = await startUpstream('slow', {
    hold: (_request, done) => (healthy ? done() : void held.push(done)),
  })
  scene.put('cluster', cluster('W', { healthCheck: true })).put('assignment', assignment('W', [slow.port]))
  scene.put('route', route('r', 'W'))
  scene.commit()
  await until('it is checked', () => held.length > 0)
  scene.zone.forget()
  await scene.zone.restart()
  await until('Envoy is back', () => scene.flow().some((line) => line.startsWith('<- EDS +')))
  expect(scene.flow()[0]).toMatch(/^<- EDS \+/)
  await until('the assignments are sent', () => scene.sends().some((line) => /-> EDS .*\bW\b/.test(line)))
  expect(await probe(port)).toBe('a')
  healthy = true
  for (const done of held) done()
  await until('the route is taken', async () => (await probe(port)) === 'slow')
})

test('X23 only clusters and listeners are awaited without a limit', async () => {
  const dump: unknown = JSON.parse(await scene.envoy.admin('/config_dump?resource=&mask=bootstrap.dynamic_resources'))
  const text = JSON.stringify(dump)
  expect(text.match(/"initial_fetch_timeout":"0s"/g)).toHaveLength(2)
  expect(text).toContain('"api_type":"DELTA_GRPC"')
})
