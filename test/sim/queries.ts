import { type JsonObject, ok, type Result } from '@zonemesh/shared/base/base.ts'
import { createSeededRandom } from '@zonemesh/shared/env/random.ts'
import type { QueryHandlers } from '@zonemesh/shared/query/exchange.ts'
import type { Packing } from '@zonemesh/shared/query/packing.ts'
import { type QueryFailure, queryMaxMs } from '@zonemesh/shared/query/query.ts'
import type { Ask } from '@zonemesh/shared/sync/session-queries.ts'
import type { Scene } from './scene.ts'
import type { Process } from './world.ts'

/** Three frames. */
const largeText = 'x'.repeat(150_000)
const names = ['echo', 'large', 'silent', 'broken'] as const
type Name = (typeof names)[number]

/** What every simulated plane answers: two kinds of answers, none at all, and a failure. */
export const simulatedQueries = (plane: string): QueryHandlers => ({
  echo: async ({ text = '' }) => ok({ plane, text }),
  large: async () => ok({ plane, text: largeText }),
  silent: () => new Promise(() => {}),
  broken: () => Promise.reject(new Error('planted: a query that fails')),
})

/** Compression takes real time, of which a simulation has none. */
export const simulatedPacking: Packing = { pack: async (bytes) => bytes, unpack: async (bytes) => bytes }

/**
 * Callers that ask planes at random, and the judge of their answers: each query ends within its time, with the right
 * answer or a reason. Their chances are not those of the world, so that a seed without them has the same trace.
 */
export function createQueries(scene: Scene, seed: number) {
  const { world } = scene
  const random = createSeededRandom(seed ^ 0x9a5e)
  const pick = <T>(list: readonly T[]): T | undefined => list[Math.floor(random.fraction() * list.length)]
  const broken: string[] = []
  let asked = 0
  let answered = 0

  function ask(process: Process, target: string, send: (...question: Parameters<Ask>) => ReturnType<Ask>): void {
    const name = pick(names) ?? 'echo'
    const text = `question ${++asked}`
    const what = `${text} (${name}) of ${process.name} to ${target}`
    const caller = new AbortController()
    if (random.fraction() < 0.1) process.after(random.fraction() * 500, () => caller.abort())
    let hasEnded = false
    void send(name, { text }, caller.signal).then((result) => {
      if (hasEnded) broken.push(`${what} ended twice`)
      hasEnded = true
      const wrong = faultOf(name, target, text, result)
      if (wrong !== undefined) broken.push(`${what} at ${world.now().toFixed(0)}: ${wrong}`)
      if (result.ok) answered += 1
    })
    // A task of the same process, so that a pause delays it like the limit itself.
    process.after(queryMaxMs + 1, () => {
      if (!hasEnded) broken.push(`${what} has not ended after ${queryMaxMs} ms`)
    })
  }

  return {
    /** Asks one plane, in one of the two directions. */
    ask(): void {
      const zone = pick(scene.zones)
      const plane = zone === undefined ? undefined : scene.planes.get(zone)
      if (!plane) return
      const global = random.fraction() < 0.5 ? undefined : pick([...scene.globals.values()])
      if (!global) ask(plane.process, 'global', plane.uplink.ask)
      else ask(global.process, plane.zone, (...question) => global.sync.ask(plane.zone, ...question))
    },
    nextMs: (): number => 100 + random.fraction() * 1_500,
    broken: (): readonly string[] => broken,
    counts: () => ({ asked, answered }),
  }
}

function faultOf(
  name: Name,
  target: string,
  text: string,
  result: Result<JsonObject, QueryFailure>,
): string | undefined {
  if (!result.ok)
    return result.error.code === 'unknown' || result.error.code === 'too-large' ? result.error.reason : undefined
  const expected = { echo: text, large: largeText, silent: undefined, broken: undefined }[name]
  if (result.value['plane'] !== target) return `${String(result.value['plane'])} has answered`
  return result.value['text'] === expected ? undefined : 'the answer is wrong'
}
