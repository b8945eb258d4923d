import type { Part } from '../parts.ts'
import { type Fault, ledger, seconds } from './faults.ts'
import { pidOf } from './part-faults.ts'

/** How far a clock that was read over a network may be off. */
const readWithinMs = 10_000
const shiftedWithinMs = 15_000

/** Moves the wall clock of a container while its process runs, and back. Its monotonic clock stays. */
export function shiftPartClock(one: Part, byText: string, byMs: number, forMs: number): Fault {
  let differenceMs = 0
  let pids: readonly number[] = []
  return {
    title: `clock of ${one.name} ${byText} for ${seconds(forMs)}`,
    forMs,
    convergeMs: 30_000,
    async run(scene) {
      const { injector } = scene
      const isShifted = async (ms: number) => {
        differenceMs = (await injector.clockOf(one.name)) - scene.clock.wallMs()
        return Math.abs(differenceMs - ms) < readWithinMs
      }
      const before = await pidOf(scene, one.name)
      await injector.shiftClock(one.name, byMs)
      await scene.until(
        `the clock of ${one.name} is ${byText} from that of this machine`,
        () => isShifted(byMs),
        shiftedWithinMs,
      )
      const shownMs = differenceMs
      await scene.wait(forMs)
      await injector.shiftClock(one.name, 0)
      await scene.until(`the clock of ${one.name} is that of this machine`, () => isShifted(0), shiftedWithinMs)
      differenceMs = shownMs
      pids = [before, await pidOf(scene, one.name)]
      return []
    },
    prove() {
      const book = ledger()
      const text = `the clock of ${one.name} differed from the clock of this machine by ${seconds(differenceMs)}`
      book.expect(Math.abs(differenceMs - byMs) < readWithinMs, text, `${text}, expected ${seconds(byMs)}`)
      const process = `process of ${one.name}: ${pids.join(' → ')}`
      book.expect(pids[0] === pids[1] && pids[0] !== 0, process, `${process}, expected the same process`)
      return book
    },
  }
}
