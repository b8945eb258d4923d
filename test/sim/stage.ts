import { judgeAll } from '@zonemesh/shared/guarantees/judges.ts'
import { decodeFrame } from '@zonemesh/shared/sync/log/frames.ts'
import type { Message } from '@zonemesh/shared/sync/log/messages.ts'
import { createFaults, type Fault, type FaultType } from './faults.ts'
import { createObserver, disagreements } from './observe.ts'
import type { Sabotage } from './sabotage.ts'
import { createScene, isForAllZones } from './scene.ts'
import { createWorkload } from './workload.ts'

export interface StageOptions {
  readonly seed?: number
  readonly zones?: number
  readonly globals?: number
  readonly horizonRevisions?: number
  readonly sabotage?: Sabotage
}

const quarantineMs = 20_000
const formerStayMs = 10_000

/** A simulated mesh for tests: a test states what happens and when, and waits for the result. */
export async function createStage(options: StageOptions = {}) {
  const { seed = 1, zones = 3, globals = 1, horizonRevisions = 1_000 } = options
  const told: { readonly atMs: number; readonly message: Message }[] = []
  const down: Sabotage['down'] = (bytes, zone) => {
    const { message } = decodeFrame(bytes)
    if (message) told.push({ atMs: scene.world.now(), message })
    return options.sabotage?.down?.(bytes, zone) ?? [bytes]
  }
  const sabotage: { -readonly [Switch in keyof Sabotage]: Sabotage[Switch] } = { ...options.sabotage, down }
  const scene = createScene(seed, {
    zones,
    globals,
    horizonRevisions,
    formerStayMs,
    quarantineMs,
    sabotage,
  })
  const { world } = scene
  const workload = createWorkload(scene)
  const doer = createFaults(scene, workload)
  const observer = createObserver(scene)
  let busy = true
  let writing = false
  const every = (periodMs: number, task: () => void) => {
    const again = () => {
      task()
      if (busy) world.at(periodMs, again)
    }
    world.at(0, again)
  }
  every(200, () => doer.supervise())
  every(250, () => observer.look())
  every(300, () => {
    if (writing) workload.change()
  })
  world.at(50, () => void workload.found())

  /** Runs until the condition holds; fails with the remaining differences if it does not hold in time. */
  async function until(what: string, holds: () => boolean | Promise<boolean>, withinMs: number): Promise<number> {
    const startMs = world.now()
    while (world.now() - startMs <= withinMs) {
      if (await holds()) return world.now() - startMs
      await world.runUntil(world.now() + 100)
    }
    throw new Error(`${what}: not within ${withinMs} ms; ${JSON.stringify(await disagreements(scene)).slice(0, 600)}`)
  }

  const stage = {
    scene,
    workload,
    /** Switches may be changed while it runs. */
    sabotage,
    /** The messages of the global to all zones, in the order of arrival. */
    told: told as readonly { readonly atMs: number; readonly message: Message }[],
    run: (forMs: number) => world.runUntil(world.now() + forMs),
    until,
    /** Advances time until the task is done, because virtual time does not pass by itself. */
    async done<T>(task: Promise<T> | undefined, withinMs = 10_000): Promise<T | undefined> {
      let result: { readonly value: T | undefined } | undefined
      if (!task) return undefined
      void task.then((value) => {
        result = { value }
      })
      await until('it is done', () => result !== undefined, withinMs)
      return result?.value
    },
    agreed: (withinMs: number) => until('all agree', async () => (await disagreements(scene)).length === 0, withinMs),
    write(on: boolean): void {
      writing = on
    },
    inject: (type: FaultType, target = 'z0', forMs = 1_000, shade = 0.4) =>
      doer.inject({ atMs: 0, type, target, forMs, shade } satisfies Fault),
    heal: () => doer.heal(),
    release: () => doer.release(),
    board: (zone: string, index = 0) => scene.globals.get(index)?.sync.zones().get(zone),
    uplink: (zone: string) => scene.planes.get(zone)?.uplink.state.value,
    global: (index = 0) => scene.globals.get(index),
    /** Ends the scene and returns the violations. */
    verdict(): readonly string[] {
      busy = false
      return judgeAll(scene.history, { quarantineMs, formerStayMs, isForAll: isForAllZones }).map(
        (one) => `${one.guarantee} at ${one.atMs}: ${one.reason}`,
      )
    },
  }
  await until(
    'the mesh is set up',
    async () => world.now() > 6_000 && (await disagreements(scene)).length === 0,
    20_000,
  )
  return stage
}
export type Stage = Awaited<ReturnType<typeof createStage>>
