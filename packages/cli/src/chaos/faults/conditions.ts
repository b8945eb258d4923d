import type { Scene } from '../scene.ts'
import type { Fault } from './faults.ts'

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

/** During the fault, every zone must answer `GET /_status`: an operator must see a fault while it lasts. */
export const whileStatusAnswers = (fault: Fault): Fault =>
  during(fault, () => ({ recorder, planes }, fromMs, healedAtMs) => {
    const silent = (zone: string) => recorder.zone(zone, fromMs, healedAtMs).filter(({ answered }) => !answered).length
    return [...planes.zones.keys()].flatMap((zone) =>
      silent(zone) === 0 ? [] : [`zone ${zone} did not answer ${silent(zone)} requests for its status, expected all`],
    )
  })

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

/** During the fault, every commit must succeed. */
export const whileCommitsSucceed = (fault: Fault): Fault =>
  during(fault, ({ changes }) => {
    const before = changes.count()
    return () => {
      const { failed, committed, lastFailure } = changes.count()
      if (committed === before.committed) return ['no commit succeeded during the fault, expected some']
      return failed === before.failed
        ? []
        : [`${failed - before.failed} commits failed, expected none; the last of them: ${lastFailure}`]
    }
  })
