import { createVirtualClock } from '@zonemesh/shared/env/clock.ts'
import { createSeededRandom } from '@zonemesh/shared/env/random.ts'
import { createMemoryStore } from '@zonemesh/shared/store/memory.ts'
import type { Store } from '@zonemesh/shared/store/store.ts'
import { type Epoch, newestEpochs, nextEpoch } from '@zonemesh/shared/sync/epochs.ts'
import { expect, test } from 'vitest'
import { replay } from './explore.ts'

const sessions = ['one', 'two', 'three']

interface Session {
  readonly name: string
  /** The next operation on the store; it waits until the walk admits it. */
  asked: (() => Promise<void>) | undefined
  wants: 'read' | 'commit'
  /** The newest epoch when it last read. */
  read: number
  epoch: Epoch | undefined
  tries: number
  wrote: boolean | undefined
}

function openScene() {
  const store = createMemoryStore({ clock: createVirtualClock(), random: createSeededRandom(6) })
  const all = sessions.map(
    (name): Session => ({
      name,
      asked: undefined,
      wants: 'read',
      read: 0,
      epoch: undefined,
      tries: 0,
      wrote: undefined,
    }),
  )
  for (const session of all) void open(store, session)
  return { store, sessions: all, newest: 0 }
}
type Scene = ReturnType<typeof openScene>

/** Sessions of one zone on replicas of one store: each read and each commit of theirs waits for its turn. */
async function open(store: Store, session: Session): Promise<void> {
  const inTurn = <T>(wants: Session['wants'], task: () => Promise<T>): Promise<T> =>
    new Promise((resolve, reject) => {
      session.wants = wants
      session.asked = () => task().then(resolve, reject)
    })
  const gated: Store = {
    ...store,
    get: (key) => inTurn('read', () => store.get(key)),
    commit(commit) {
      session.tries += 1
      return inTurn('commit', () => store.commit(commit))
    },
  }
  const hello = {
    ...{
      protocol: { min: 1, max: 1, features: [] },
      storeId: 'store-of-west',
      incarnation: 1,
      host: session.name,
      startedAtMs: 0,
      version: 'test',
    },
    ...{ position: undefined, creditBytes: 1, replica: session.name, uncovered: [] },
  }
  session.epoch = await nextEpoch(gated, 'west', hello)
}

function movesOf(scene: Scene) {
  const moves: { readonly name: string; readonly apply: (scene: Scene) => Promise<void> }[] = []
  scene.sessions.forEach(({ name, asked, epoch, wrote }, index) => {
    const of = (next: Scene): Session => {
      const session = next.sessions[index]
      if (!session) throw new Error(`no session ${index}`)
      return session
    }
    if (asked)
      moves.push({
        name: `${name} goes on`,
        async apply(next) {
          const session = of(next)
          const go = session.asked
          session.asked = undefined
          if (session.wants === 'read') session.read = next.newest
          await go?.()
          // Lets the session process the result until it has another operation or its epoch.
          for (let turn = 0; turn < 10; turn += 1) await Promise.resolve()
          if (!session.epoch || session.asked) return
          if (session.epoch.epoch !== next.newest + 1)
            throw new Error(`${name} got epoch ${session.epoch.epoch} after ${next.newest}`)
          next.newest = session.epoch.epoch
        },
      })
    if (epoch && wrote === undefined) moves.push({ name: `${name} writes`, apply: (next) => write(next, of(next)) })
  })
  return moves
}

/** Writes the data of a session's zone, which only the newest session may do. */
async function write({ store, newest }: Scene, session: Session): Promise<void> {
  if (!session.epoch) return
  const { epoch, guard } = session.epoch
  const key = { origin: 'west', kind: 'Dataplane', mesh: '', name: session.name }
  const stamp = { incarnation: 1, originRevision: epoch, createdAtMs: 0, modifiedAtMs: 0 }
  const changes = [guard, { op: 'put', key, labels: {}, spec: {}, stamp } as const]
  const { ok } = await store.commit({ changes, subject: 'west', intent: 'sync' })
  session.wrote = ok
  if (ok !== (epoch === newest)) throw new Error(`${session.name}, epoch ${epoch} of ${newest}: the commit was ${ok}`)
  if (((await newestEpochs(store)).get('west') === epoch) !== (epoch === newest))
    throw new Error(`${session.name}: newest is not what the store says`)
  if (!ok && (await store.get(key))) throw new Error(`${session.name}: a fenced commit has left a row`)
}

test('Y4 sessions of one zone on several replicas, in every order: each epoch is given once, and only the newest one writes', async () => {
  const look = ({ sessions: all, newest }: Scene) => ({
    newest,
    all: all.map(({ name, epoch, asked, wants, read, tries, wrote }) => {
      return [name, epoch?.epoch ?? 0, asked !== undefined, wants, read, tries, wrote ?? 'not']
    }),
  })
  const { states, ends } = await replay(openScene, movesOf, look, ({ sessions: all, newest }) => {
    const epochs = all.map(({ epoch }) => epoch?.epoch ?? 0).sort()
    if (JSON.stringify(epochs) !== '[1,2,3]' || newest !== 3)
      throw new Error(`expected epochs 1, 2, 3, found ${epochs}`)
    if (all.find(({ epoch }) => epoch?.epoch === 3)?.wrote !== true) throw new Error('the newest one could not write')
  })
  console.info(`epochs: ${states} states, ${ends} ends`)
  expect(states).toBeGreaterThan(50)
})
