import { Agent } from 'node:http'
import { delay, systemClock } from '@zonemesh/shared/env/clock.ts'
import type { ReplicaScene } from '../../e2e/replica-scene.ts'
import { api } from '../../e2e/rig.ts'
import type { Figure } from '../figures.ts'

const probeEveryMs = 0.5
const limitMs = 10_000

/** How long a route change at one of the globals takes until the Envoy of the zone answers with it. */
export async function measureChanges(scene: ReplicaScene, how: string, changes: number): Promise<readonly Figure[]> {
  const served: number[] = []
  const written: number[] = []
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  for (let index = 1; index <= changes; index += 1) {
    const turn = `${how} ${index}`
    const startMs = performance.now()
    const writing = scene.writeRoute(scene.globals[index % 2]?.address ?? '', turn).then(() => performance.now())
    while ((await scene.askOn(agent)).headers['x-turn'] !== turn) {
      if (performance.now() - startMs > limitMs) throw new Error(`${turn}: the gateway did not take the route in 10 s`)
      await delay(systemClock, probeEveryMs, AbortSignal.timeout(limitMs))
    }
    served.push(performance.now() - startMs)
    written.push((await writing) - startMs)
  }
  agent.destroy()
  return [
    {
      name: `${how}: route change → served by the Envoy of a zone`,
      unit: 'ms',
      samples: served,
      target: { p50: 15, p99: 80 },
    },
    { name: `${how}: route change → answered by the global`, unit: 'ms', samples: written },
  ]
}

const writers = 8

/** How many changes per second eight writers make at two globals, each waiting for the answer of its commit. */
export async function measureWriters(
  { globals }: ReplicaScene,
  how: string,
  { durationMs, perCommit }: { readonly durationMs: number; readonly perCommit: number },
): Promise<Figure> {
  const startMs = performance.now()
  let count = 0
  const write = async (writer: number): Promise<void> => {
    const { address = '' } = globals[writer % globals.length] ?? {}
    const client = api(address)
    for (let turn = 0; performance.now() - startMs < durationMs; turn += 1) {
      const documents = Array.from({ length: perCommit }, (_, index) => timeout(`writer-${writer}-${index}`, turn))
      const { json } = await client.need('POST', '/_commit', { documents, atomic: true, intent: 'bench' })
      if (!Array.isArray(Object(json).outcomes)) throw new Error(`expected outcomes, found ${JSON.stringify(json)}`)
      count += perCommit
    }
  }
  await Promise.all(Array.from({ length: writers }, (_, writer) => write(writer)))
  const perSecond = count / ((performance.now() - startMs) / 1_000)
  const what = perCommit === 1 ? 'single durable changes' : `durable changes in commits of ${perCommit}`
  return { name: `${how}: ${what}, 8 writers over two globals`, unit: '/s', samples: [perSecond] }
}

/** A policy that no proxy uses, so that the figure is that of the store and of sync. */
const timeout = (name: string, turn: number) => ({
  ...{ type: 'Timeout', mesh: 'default', name },
  ...{ sources: [unused], destinations: [unused], conf: { connectTimeout: `${(turn % 9) + 1}s` } },
})

const unused = { match: { 'kuma.io/service': 'bench-unused' } }
