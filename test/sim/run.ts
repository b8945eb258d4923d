import { createSeededRandom } from '@zonemesh/shared/env/random.ts'
import type { HistoryEvent } from '@zonemesh/shared/guarantees/history.ts'
import { judgeAll } from '@zonemesh/shared/guarantees/judges.ts'
import { createFaults, type Fault, planFaults } from './faults.ts'
import { createObserver, disagreements } from './observe.ts'
import { createQueries } from './queries.ts'
import type { Sabotage } from './sabotage.ts'
import { createScene, isForAllZones } from './scene.ts'
import { createWorkload } from './workload.ts'

export interface RunOptions {
  readonly seed: number
  /** Replaces the faults that the seed would draw. */
  readonly faults?: readonly Fault[]
  readonly zones?: number
  /** Breaks something on purpose, to prove that a judge detects it. */
  readonly sabotage?: Sabotage
  /** Whether planes ask each other. Without it a seed has the trace that it had before there were queries. */
  readonly queries?: boolean
}

export interface RunResult {
  readonly seed: number
  readonly faults: readonly Fault[]
  readonly zones: number
  readonly globals: number
  readonly events: number
  readonly virtualMs: number
  /** The virtual time from healing to agreement; undefined if they did not agree in time. */
  readonly convergedMs: number | undefined
  readonly violations: readonly string[]
  readonly queries: { readonly asked: number; readonly answered: number }
  readonly trace: readonly string[]
  readonly history: readonly HistoryEvent[]
}

const settleMs = 12_000
const chaosMs = 30_000
/**
 * The time limit for agreement after healing: it covers a slow zone's retries, a lease, and the remaining rows of a
 * lost store.
 */
export const convergeMs = 60_000
const lookEveryMs = 500
const quarantineMs = 20_000
const formerStayMs = 10_000

/** The size of a scene follows from its seed: most are small, some have fifty zones. */
function sizeOf(seed: number): { readonly zones: number; readonly globals: number } {
  const random = createSeededRandom(seed ^ 0x5eed)
  const drawn = random.fraction()
  const zones =
    drawn < 0.8 ? 1 + Math.floor(random.fraction() * 3) : drawn < 0.99 ? 4 + Math.floor(random.fraction() * 5) : 50
  return { zones, globals: random.fraction() < 0.5 ? 1 : 2 }
}

/**
 * One run: chaos from the seed, then healing, then all planes must agree within the time limit; all judges check the
 * history.
 */
export async function run(options: RunOptions): Promise<RunResult> {
  const { seed } = options
  const size = sizeOf(seed)
  const zones = options.zones ?? size.zones
  const scene = createScene(seed, {
    zones,
    globals: size.globals,
    horizonRevisions: seed % 3 === 0 ? 20 : 1_000,
    formerStayMs,
    quarantineMs,
    sabotage: options.sabotage ?? {},
  })
  const { world } = scene
  const workload = createWorkload(scene)
  const faults = options.faults ?? planFaults(createSeededRandom(seed * 31 + 7), scene, chaosMs)
  const doer = createFaults(scene, workload)
  const observer = createObserver(scene)
  const queries = createQueries(scene, seed)
  const crashes: string[] = []
  const onRejection = (cause: unknown) =>
    void crashes.push(`an unhandled rejection: ${cause instanceof Error ? cause.stack : String(cause)}`)
  process.on('unhandledRejection', onRejection)
  try {
    world.at(50, () => void workload.found())
    const supervise = () => {
      doer.supervise()
      if (world.now() < endMs) world.at(200, supervise)
    }
    world.at(0, supervise)
    const look = () => {
      observer.look()
      if (world.now() < endMs) world.at(lookEveryMs, look)
    }
    const ask = () => {
      queries.ask()
      if (world.now() < endMs) world.at(queries.nextMs(), ask)
    }
    if (options.queries !== false) world.at(queries.nextMs(), ask)
    let endMs = settleMs + chaosMs + convergeMs
    world.at(lookEveryMs, look)
    await world.runUntil(settleMs)

    const healAtMs = settleMs + chaosMs
    // Users continue to make changes for a while after healing began.
    const changeAgain = () => {
      if (world.now() >= healAtMs + chaosMs / 3) return
      workload.change()
      world.at(50 + world.random.fraction() * 900, changeAgain)
    }
    changeAgain()
    for (const fault of faults) world.at(fault.atMs, () => doer.inject(fault))
    await world.runUntil(healAtMs)

    doer.heal()
    let convergedMs: number | undefined
    let left = await disagreements(scene)
    while (world.now() < endMs) {
      await world.runUntil(world.now() + 1_000)
      // Remaining faults are healed from time to time; an operator checks every five seconds.
      if (world.now() < healAtMs + chaosMs / 2) doer.heal()
      if (Math.floor(world.now() / 1_000) % 5 === 0) doer.release()
      left = await disagreements(scene)
      if (left.length > 0 || world.now() < healAtMs + chaosMs / 2) continue
      convergedMs = world.now() - healAtMs
      break
    }
    endMs = world.now()
    for (const { plane, missing, surplus } of left) scene.record({ type: 'final', plane, missing, surplus })
    const violations = [
      ...judgeAll(scene.history, { quarantineMs, formerStayMs, isForAll: isForAllZones }).map(
        (one) => `${one.guarantee} at ${one.atMs.toFixed(0)}: ${one.reason}`,
      ),
      ...scene.proxies.broken(),
      ...queries.broken(),
      ...crashes,
    ]
    return {
      seed,
      faults,
      zones,
      globals: size.globals,
      events: world.events(),
      virtualMs: world.now(),
      convergedMs,
      queries: queries.counts(),
      violations,
      trace: world.trace,
      history: scene.history,
    }
  } finally {
    process.off('unhandledRejection', onRejection)
  }
}
