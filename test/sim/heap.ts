/** Something that happens at a time. Things at the same time happen in the order of their numbers. */
export interface Timed {
  readonly atMs: number
  readonly order: number
}

/** Earliest first; among events at the same time, the one that was scheduled first. */
export function createHeap<Task extends Timed>() {
  const tasks: Task[] = []
  const isBefore = (a: Task, b: Task) => a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order)
  const at = (index: number): Task => {
    const task = tasks[index]
    if (!task) throw new Error('the heap has no such task')
    return task
  }
  function swap(a: number, b: number): void {
    const task = at(a)
    tasks[a] = at(b)
    tasks[b] = task
  }
  return {
    peek: (): Task | undefined => tasks[0],
    push(task: Task): void {
      tasks.push(task)
      for (let index = tasks.length - 1; index > 0; ) {
        const parent = (index - 1) >> 1
        if (!isBefore(at(index), at(parent))) break
        swap(index, parent)
        index = parent
      }
    },
    pop(): void {
      const last = tasks.pop()
      if (!last || tasks.length === 0) return
      tasks[0] = last
      for (let index = 0; ; ) {
        let least = index
        for (const child of [2 * index + 1, 2 * index + 2]) {
          if (child < tasks.length && isBefore(at(child), at(least))) least = child
        }
        if (least === index) break
        swap(index, least)
        index = least
      }
    },
  }
}
