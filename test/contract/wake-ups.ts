import { type Clock, systemClock } from '@zonemesh/shared/env/clock.ts'
import { keyText } from '@zonemesh/shared/resource/resource.ts'
import type { Store } from '@zonemesh/shared/store/store.ts'
import { describe, expect, it } from 'vitest'
import { keyOf, put, rowsAt } from './store-samples.ts'

/** How the processes that share a store wake each other. */
export interface WakeUps {
  /**
   * Opens the store of this test in another process. By default its clock stands still, so that no poll replaces a
   * missing wake-up.
   */
  open(clock?: Clock): Promise<Store>
  /** Ends every connection over which wake-ups arrive. */
  interrupt(): Promise<void>
}

const why = { subject: 'anna', intent: 'test' }
/** A poll would replace a missing wake-up only after 30 s. */
const soon = { timeout: 15_000 }

/** The contract of wake-ups, by whatever means they travel. */
export function wakeUpContract(name: string, { open, interrupt }: WakeUps): void {
  describe(`${name}: wake-ups`, () => {
    it('S13 a commit of one process notifies the others once it can be read', async () => {
      const [one, other] = [await open(), await open()]
      const woken = nextMark(other)
      const outcome = await one.commit({ ...why, changes: [put('a', 1)] })
      await woken
      expect(outcome).toMatchObject({ ok: true, position: await other.mark() })
      expect((await other.get(keyOf('a')))?.row?.spec).toEqual({ value: 1 })
    })

    it('L5 commits of two processes have revisions without gaps, and a reader that is notified misses none', async () => {
      const [east, west, reader] = [await open(), await open(), await open()]
      const state = new Map<string, unknown>()
      const seen: number[] = []
      let position = 0
      const everything = Promise.withResolvers<void>()
      let reading = Promise.resolve()
      const read = async () => {
        const { revision } = await reader.mark()
        let resume: string | undefined
        do {
          const page = await reader.changesSince(position, revision, { limit: 7, ...(resume ? { resume } : {}) })
          for (const version of page.versions) {
            seen.push(version.revision)
            state.set(keyText(version.key), version.row?.spec)
          }
          resume = page.next
        } while (resume !== undefined)
        position = revision
        if (position === 1000) everything.resolve()
      }
      using _listening = reader.onMark(() => {
        reading = reading.then(read).catch(everything.reject)
      })
      const write = async (store: Store, name: string) => {
        for (let index = 0; index < 500; index += 1) {
          expect(await store.commit({ ...why, changes: [put(`${name}-${index}`, index)] })).toMatchObject({ ok: true })
        }
      }
      await Promise.all([write(east, 'east'), write(west, 'west')])
      await everything.promise
      const counted = Array.from({ length: 1000 }, (_, index) => index + 1)
      const records = await east.records({ after: 0, limit: 2000 })
      expect(records.map((record) => record.position.revision)).toEqual(counted)
      expect(seen).toEqual(counted)
      expect(state).toEqual(await rowsAt(west, 1000))
    })

    it(
      'S17 after every connection was ended, all processes are woken, and later commits notify again',
      soon,
      async () => {
        const [one, other] = [await open(systemClock), await open(systemClock)]
        const woken = [nextMark(one), nextMark(other)]
        await interrupt()
        await Promise.all(woken)
        for (const [from, to] of [
          [one, other],
          [other, one],
        ] as const) {
          const notified = nextMark(to)
          const outcome = await from.commit({ ...why, changes: [put('a', (await to.head()).revision)] })
          await notified
          expect(outcome).toMatchObject({ ok: true, position: await to.mark() })
        }
      },
    )
  })
}

export const nextMark = (store: Store) =>
  new Promise<void>((resolve) => {
    const listening = store.onMark(() => {
      listening[Symbol.dispose]()
      resolve()
    })
  })
