import { createHeap } from '../sim/heap.ts'

interface Event {
  readonly atMs: number
  readonly order: number
  readonly run: () => void
}

/** Virtual time for the model: millions of small events, none of which waits for anything real. */
export function createTimeline() {
  const heap = createHeap<Event>()
  let nowMs = 0
  let order = 0
  return {
    now: (): number => nowMs,
    at(delayMs: number, run: () => void): void {
      order += 1
      heap.push({ atMs: nowMs + Math.max(0, delayMs), order, run })
    },
    /** Runs all events up to this time. */
    runUntil(untilMs: number): void {
      for (let next = heap.peek(); next && next.atMs <= untilMs; next = heap.peek()) {
        heap.pop()
        nowMs = Math.max(nowMs, next.atMs)
        next.run()
      }
      nowMs = Math.max(nowMs, untilMs)
    },
    events: (): number => order,
  }
}
export type Timeline = ReturnType<typeof createTimeline>

/** A piece of work of a process. The cost is computed when it begins, the effect happens when it ends. */
export interface Work {
  readonly costMs: () => number
  readonly run: () => void
}

/** A process with one thread: one piece of work at a time, in the order of arrival. */
export interface ModelProcess {
  do(work: Work): void
  /** CPU that was used so far. */
  readonly busyMs: () => number
}

/** `isEndless`: work takes no time, but its cost is counted. So the demand is known although the process has one core. */
export function createModelProcess(timeline: Timeline, isEndless: boolean): ModelProcess {
  const queue: Work[] = []
  let head = 0
  let isBusy = false
  let busyMs = 0

  function begin(): void {
    const work = queue[head]
    if (!work) {
      queue.length = 0
      head = 0
      isBusy = false
      return
    }
    head += 1
    isBusy = true
    const costMs = work.costMs()
    busyMs += costMs
    timeline.at(isEndless ? 0 : costMs, () => {
      work.run()
      begin()
    })
  }

  return {
    do(work) {
      queue.push(work)
      if (!isBusy) begin()
    },
    busyMs: () => busyMs,
  }
}
