import type { Scene } from '../scene.ts'
import { type Fault, seconds } from './faults.ts'

/** A condition that must hold during a fault, in addition to the guarantees. It returns what was wrong. */
type Condition = (scene: Scene, fromMs: number, healedAtMs: number) => readonly string[]

function during(fault: Fault, begin: (scene: Scene) => Condition): Fault {
  return {
    ...fault,
    async run(scene) {
      const fromMs = scene.recorder.now()
      const condition = begin(scene)
      const problems = await fault.run(scene)
      return [...problems, ...condition(scene, fromMs, scene.recorder.now())]
    },
  }
}

/** One answer may be late on a machine that is busy with other work. A plane that is silent for longer has stopped. */
const gapMaxMs = 5_000

/** The longest time without one of these events. */
function longestGapMs(timesMs: readonly number[], fromMs: number, healedAtMs: number): number {
  const within = timesMs.filter((atMs) => atMs > fromMs && atMs < healedAtMs)
  const ends = [fromMs, ...within, healedAtMs]
  return Math.max(...ends.slice(1).map((atMs, index) => atMs - (ends[index] ?? atMs)))
}

/** During the fault, every zone must answer `GET /_status`: an operator must see a fault while it lasts. */
export const whileStatusAnswers = (fault: Fault): Fault =>
  during(
    fault,
    () =>
      ({ recorder, planes }, fromMs, healedAtMs) =>
        [...planes.zones.keys()].flatMap((zone) => {
          const answered = recorder.zone(zone, fromMs, healedAtMs).filter((one) => one.answered)
          const gapMs = longestGapMs(
            answered.map(({ atMs }) => atMs),
            fromMs,
            healedAtMs,
          )
          return gapMs <= gapMaxMs
            ? []
            : [
                `zone ${zone} did not answer for its status for ${seconds(gapMs)}, expected at most ${seconds(gapMaxMs)}`,
              ]
        }),
  )

/** No zone may open a new session because of the fault. */
export const whileSessionsStay = (fault: Fault): Fault =>
  during(fault, ({ recorder, planes }) => {
    const epochs = () => [...planes.zones.keys()].map((zone) => [zone, recorder.newest(zone)?.epoch ?? 0] as const)
    const before = new Map(epochs())
    return () =>
      epochs().flatMap(([zone, epoch]) =>
        epoch === before.get(zone)
          ? []
          : [`zone ${zone} opened a new session (epoch ${before.get(zone)} → ${epoch}), expected the same one`],
      )
  })

/** During the fault, commits must go on. */
export const whileCommitsGoOn = (fault: Fault): Fault =>
  during(fault, ({ changes }) => ({ recorder }, fromMs, healedAtMs) => {
    const committed = recorder.history().filter((event) => event.type === 'written' && event.mark)
    const gapMs = longestGapMs(
      committed.map(({ atMs }) => atMs),
      fromMs,
      healedAtMs,
    )
    if (gapMs <= gapMaxMs) return []
    const { lastFailure } = changes.count()
    return [
      `no commit succeeded for ${seconds(gapMs)}, expected at most ${seconds(gapMaxMs)}; the last failure: ${lastFailure}`,
    ]
  })
