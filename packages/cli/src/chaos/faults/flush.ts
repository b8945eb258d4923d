import type { Part } from '../parts.ts'
import { type Fault, ledger } from './faults.ts'

const refillMs = 15_000

/** Removes all keys from Redis. The replicas must write theirs again. */
export function flushRedis(one: Part): Fault {
  let removed = 0
  let refilled = 0
  return {
    title: `flush ${one.name}`,
    async run(scene) {
      const { injector } = scene
      await scene.until(
        `${one.name} has keys`,
        async () => {
          removed = await injector.keys(one.name)
          return removed > 0
        },
        refillMs,
      )
      await injector.flush(one.name)
      await scene.until(
        `the replicas have written keys to ${one.name} again`,
        async () => {
          refilled = await injector.keys(one.name)
          return refilled > 0
        },
        refillMs,
      )
      return []
    },
    prove() {
      const book = ledger()
      const text = `${one.name} lost ${removed} keys, and later the replicas had written ${refilled}`
      book.expect(removed > 0 && refilled > 0, text, `${text}, expected some of both`)
      return book
    },
  }
}
