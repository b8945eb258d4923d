import { mkdtempSync, rmSync } from 'node:fs'
import { Agent } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { requestOnce } from '@zonemesh/cli/base/http.ts'
import { startEcho } from '@zonemesh/cli/scene/echo-server.ts'
import { freePorts } from '@zonemesh/cli/scene/ports.ts'
import { systemClock } from '@zonemesh/shared/env/clock.ts'
import { silentLog } from '@zonemesh/shared/env/log.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import { openSqliteStore } from '@zonemesh/shared/store/sqlite.ts'
import { listener, route, staticCluster } from '../conformance/envoy/resources.ts'
import { startScene } from '../conformance/envoy/scene.ts'

/** The lower limit on this machine: two durable commits, then raw xDS to an Envoy until it uses the new route. */
export async function measureFloor(count: number): Promise<number[]> {
  const folder = mkdtempSync(join(tmpdir(), 'zonemesh-floor-'))
  const env = { clock: systemClock, random: systemRandom, log: silentLog }
  const stores = await Promise.all(['a', 'b'].map((name) => openSqliteStore(env, { path: join(folder, `${name}.db`) })))
  const [port = 0, first = 0, second = 0] = await freePorts(systemRandom, 3)
  const servers = await Promise.all([
    startEcho({ service: 'floor', zone: 'x', version: 'v1' }, '127.0.0.1', first),
    startEcho({ service: 'floor', zone: 'x', version: 'v2' }, '127.0.0.1', second),
  ])
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const samples: number[] = []
  const scene = await startScene()
  try {
    scene
      .put('cluster', staticCluster('v1', first), staticCluster('v2', second))
      .put('listener', listener('l', port, { routes: 'r' }))
      .put('route', route('r', 'v1'))
    await scene.settle()
    const ask = async () =>
      String((await requestOnce({ host: '127.0.0.1', port, hostname: 'any', path: '/', agent })).headers['x-version'])
    await ask()
    for (let index = 0; index < count; index += 1) {
      const version = index % 2 === 0 ? 'v2' : 'v1'
      const startMs = performance.now()
      for (const store of stores) {
        await store.commit({
          changes: [
            { op: 'put', key: { origin: 'x', kind: 'Floor', mesh: '', name: 'r' }, labels: {}, spec: { index } },
          ],
          subject: 'bench',
          intent: 'floor',
        })
      }
      scene.put('route', route('r', version)).commit()
      while ((await ask()) !== version)
        if (performance.now() - startMs > 10_000) throw new Error('the floor was not reached within 10 s')
      samples.push(performance.now() - startMs)
    }
  } finally {
    agent.destroy()
    await scene[Symbol.asyncDispose]()
    for (const server of servers) server.close()
    for (const store of stores) await store.close()
    rmSync(folder, { recursive: true, force: true })
  }
  return samples
}
