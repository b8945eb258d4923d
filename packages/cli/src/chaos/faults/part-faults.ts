import { greetingOf, type Part } from '../parts.ts'
import type { Scene } from '../scene.ts'
import { type Fault, ledger, seconds } from './faults.ts'

export type How = 'kill' | 'pause' | 'disconnect'

const probeEveryMs = 250
/** A commit is tried twice a second and given up after 1.5 s. */
const commitFailsAfterMs = 2_000
/** A replica that is gone does not count after 3 s, and a silent session ends after 7 s. */
const replicaGoneAfterMs = 5_000
const cutSurelyMs = 9_500
const convergeMs = 30_000

/** What a probe and the counters showed of one fault. */
interface Seen {
  probes: number
  silent: number
  pids: readonly [number, number]
  failedCommits: number
}

/** Kills, pauses or disconnects a part of the control plane. It carries no traffic, so no request may fail. */
export function stopPart(how: How, one: Part, forMs: number): Fault {
  const seen: Seen = { probes: 0, silent: 0, pids: [0, 0], failedCommits: 0 }
  return {
    title: `${how} ${one.name} for ${seconds(forMs)}`,
    forMs,
    convergeMs,
    async run(scene) {
      const answers = () => scene.injector.probe(one.name, one.port, greetingOf(one))
      const { begin, end } = actionsOf(scene, how, one.name)
      await scene.until(`${one.name} answers before the fault`, answers)
      const before = await pidOf(scene, one.name)
      const failed = scene.changes.count().failed
      await begin()
      const endMs = scene.recorder.now() + forMs
      while (scene.recorder.now() < endMs) {
        seen.probes += 1
        if (!(await answers())) seen.silent += 1
        await scene.wait(Math.max(0, Math.min(probeEveryMs, endMs - scene.recorder.now())))
      }
      seen.failedCommits = scene.changes.count().failed - failed
      await end()
      seen.pids = [before, await pidOf(scene, one.name)]
      await scene.until(`${one.name} answers again`, answers, convergeMs)
      return []
    },
    prove(scene, fromMs, healedAtMs) {
      const book = ledger()
      const silence = `${one.name} answered ${seen.probes - seen.silent} of ${seen.probes} probes`
      book.expect(seen.probes > 0 && seen.silent === seen.probes, silence, `${silence}, expected none`)
      const [before, after] = seen.pids
      const process = `process of ${one.name}: ${before} → ${after}`
      const isRight = before > 0 && after > 0 && (before !== after) === (how === 'kill')
      book.expect(isRight, process, `${process}, expected ${how === 'kill' ? 'a new process' : 'the same process'}`)
      expectEffect({ scene, fromMs, healedAtMs, seen }, how, one, forMs, book)
      return book
    },
  }
}

function actionsOf({ injector }: Scene, how: How, name: string) {
  switch (how) {
    case 'kill':
      return { begin: () => injector.end(name, 'SIGKILL'), end: () => injector.start(name) }
    case 'pause':
      return { begin: () => injector.pause(name), end: () => injector.resume(name) }
    case 'disconnect':
      return { begin: () => injector.disconnect(name), end: () => injector.connect(name) }
  }
}

/** The process of a part or a target; 0 if it does not run. */
export const pidOf = async ({ injector }: Pick<Scene, 'injector'>, name: string): Promise<number> =>
  (await injector.roles()).find((role) => role.name === name)?.pid ?? 0

interface Period {
  readonly scene: Scene
  readonly fromMs: number
  readonly healedAtMs: number
  readonly seen: Seen
}

/** Expects what the planes report of the fault of this kind of part. */
function expectEffect(
  { scene, fromMs, healedAtMs, seen }: Period,
  how: How,
  { name, kind, zone = '', replicas }: Part,
  forMs: number,
  book: ReturnType<typeof ledger>,
): void {
  const { recorder } = scene
  switch (kind) {
    case 'global':
      // Only the global behind the balancer that has the sessions can lose them.
      return
    case 'zone': {
      const epochs = [recorder.zone(zone, 0, fromMs).at(-1)?.epoch ?? 0, recorder.newest(zone)?.epoch ?? 0] as const
      const session = `session of zone ${zone}: epoch ${epochs[0]} → ${epochs[1]}`
      if (replicas === 1 && (how === 'kill' || forMs >= cutSurelyMs))
        book.expect(epochs[1] > epochs[0], session, `${session}, expected a new epoch`)
      if (replicas === 1 || forMs < replicaGoneAfterMs) return
      const least = Math.min(...recorder.zone(zone, fromMs, healedAtMs).flatMap((one) => one.replicas || []))
      const text = `zone ${zone} reported ${least} of ${replicas} replicas`
      book.expect(least === replicas - 1, text, `${text}, expected ${replicas - 1} without ${name}`)
      return
    }
    case 'database': {
      if (forMs < commitFailsAfterMs) return
      const text = `${seen.failedCommits} commits failed while ${name} was stopped`
      book.expect(seen.failedCommits > 0, text, `${text}, expected some`)
      return
    }
    case 'redis': {
      if (forMs < replicaGoneAfterMs) return
      const away = recorder.global(fromMs, healedAtMs).find(({ redis }) => redis === 'away')
      const text = `the global reported after ${seconds((away?.atMs ?? 0) - fromMs)} that Redis does not answer`
      book.expect(away !== undefined, text, 'the global never reported that Redis does not answer')
      return
    }
    case 'balancer': {
      const samples = recorder.global(fromMs, healedAtMs)
      const silent = samples.filter(({ answered }) => !answered).length
      const text = `the globals behind ${name} did not answer ${silent} of ${samples.length} requests`
      book.expect(silent > 0, text, `${text}, expected some`)
    }
  }
}
