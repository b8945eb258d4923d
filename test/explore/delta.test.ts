import {
  acknowledge,
  adopt,
  createDeltaSide,
  type DeltaSide,
  difference,
  refuse,
  subscribe,
  type Versioned,
  wrote,
} from '@zonemesh/shared/delta/delta.ts'
import { describe, expect, it } from 'vitest'
import { explore, type Move } from './explore.ts'

interface Answer {
  readonly nonce: string
  readonly changed: readonly Versioned[]
  readonly removed: readonly string[]
}

interface Request {
  readonly subscribe: readonly string[]
  readonly unsubscribe: readonly string[]
  readonly initial: Readonly<Record<string, string>>
  /** The answer that it is the verdict of. */
  readonly nonce?: string
  readonly refused?: boolean
}

/** The peer refuses versions with this beginning, regardless of the rest of the response. */
const isBad = ({ version }: Versioned): boolean => version.startsWith('bad')
const tableOf = (text: string): readonly Versioned[] =>
  text
    .split(' ')
    .filter(Boolean)
    .map((one) => ({ name: one.slice(0, 1), version: one.slice(2) }))

interface Script {
  readonly name: string
  readonly wildcard: boolean
  /** The resources that the peer has from an earlier stream when the stream opens. */
  readonly before: string
  /** The tables, in order: `a@1 b@bad1`. */
  readonly tables: readonly string[]
  /** The requests of the peer, in order; the first one opens the type. */
  readonly requests: readonly { readonly subscribe?: readonly string[]; readonly unsubscribe?: readonly string[] }[]
}

const scripts: readonly Script[] = [
  {
    name: 'wildcard, with bad versions',
    wildcard: true,
    before: 'a@1 c@1',
    tables: ['a@1 b@1', 'a@bad2 b@2', 'a@3 b@bad3'],
    requests: [{}],
  },
  {
    name: 'a version that is bad, good, and bad again',
    wildcard: true,
    before: '',
    tables: ['a@1', 'a@bad2', 'a@1', 'a@bad2', 'a@4'],
    requests: [{}],
  },
  {
    name: 'by name, with a name that does not exist yet',
    wildcard: false,
    before: 'b@1',
    tables: ['a@1 b@1', 'a@2 b@bad2 c@1', 'b@3 c@bad2'],
    requests: [{ subscribe: ['a', 'b'] }, { subscribe: ['c'], unsubscribe: ['a'] }, { subscribe: ['a'] }],
  },
]

interface Scene {
  readonly side: DeltaSide<Versioned>
  table: number
  asked: number
  nonce: number
  toPeer: Answer[]
  toServer: Request[]
  /** The peer itself. */
  readonly names: Set<string>
  readonly has: Map<string, string>
}

/** More answers than any of the scenes needs: a server that answers itself for ever is found by it. */
const answersMax = 60

function walk({ wildcard, before, tables, requests }: Script) {
  const target = (scene: Scene) => new Map(tableOf(tables[scene.table] ?? '').map((one) => [one.name, one]))

  /**
   * The protocol around a side in its simplest form: sends all that is due, and some resources in separate responses.
   */
  function flush(scene: Scene): void {
    if (!scene.side.open) return
    const { changed, removed, missing } = difference(scene.side, target(scene))
    const together = changed.filter(({ name }) => !scene.side.alone.has(name))
    const gone = [...new Set([...removed, ...missing])]
    if (together.length > 0 || gone.length > 0) write(scene, together, gone)
    for (const one of changed) if (scene.side.alone.has(one.name)) write(scene, [one], [])
  }

  function write(scene: Scene, changed: readonly Versioned[], removed: readonly string[]): void {
    scene.nonce += 1
    if (scene.nonce > answersMax) throw new Error('it answers for ever')
    const nonce = String(scene.nonce)
    wrote(scene.side, nonce, { changed, removed, mark: scene.table })
    scene.toPeer.push({ nonce, changed, removed })
  }

  function serve(scene: Scene): void {
    const request = scene.toServer.shift()
    if (!request) return
    const isFirst = !scene.side.open
    subscribe(scene.side, request, { wildcardType: wildcard })
    if (isFirst) adopt(scene.side, target(scene))
    if (request.nonce !== undefined && request.refused) refuse(scene.side, request.nonce)
    else if (request.nonce !== undefined) acknowledge(scene.side, request.nonce)
    flush(scene)
  }

  /** The peer refuses a response with a bad resource; it may already have accepted some of the others. */
  function take(scene: Scene, takesOthers: boolean): void {
    const answer = scene.toPeer.shift()
    if (!answer) return
    const refused = answer.changed.some(isBad)
    for (const one of answer.changed) {
      if (isBad(one) || (refused && !takesOthers) || !(wildcard || scene.names.has(one.name))) continue
      scene.has.set(one.name, one.version)
    }
    if (!refused || takesOthers) for (const name of answer.removed) scene.has.delete(name)
    scene.toServer.push({ subscribe: [], unsubscribe: [], initial: {}, nonce: answer.nonce, refused })
  }

  function movesOf(scene: Scene): Move<Scene>[] {
    const moves: Move<Scene>[] = []
    if (scene.table < tables.length - 1)
      moves.push({
        name: `table ${scene.table + 1}`,
        apply(next) {
          next.table += 1
          const now = target(next)
          adopt(next.side, now)
          // As in the real step, a refused version counts while its name is subscribed.
          for (const [name, version] of next.side.refused)
            if (now.get(name)?.version !== version) next.side.refused.delete(name)
          for (const name of next.side.alone.keys())
            if (!now.has(name) && !next.side.peer.has(name)) next.side.alone.delete(name)
          flush(next)
        },
      })
    const request = requests[scene.asked]
    if (request)
      moves.push({
        name: `ask ${scene.asked}`,
        apply(next) {
          const { subscribe: more = [], unsubscribe: less = [] } = request
          const initial = next.asked === 0 ? Object.fromEntries(next.has) : {}
          next.asked += 1
          for (const name of less) {
            next.names.delete(name)
            next.has.delete(name)
          }
          for (const name of more) next.names.add(name)
          next.toServer.push({ subscribe: more, unsubscribe: less, initial })
        },
      })
    if (scene.toServer.length > 0) moves.push({ name: 'serve', apply: serve })
    const [answer] = scene.toPeer
    if (answer) moves.push({ name: `take ${answer.nonce}`, apply: (next) => take(next, false) })
    if (answer?.changed.some(isBad) && answer.changed.length + answer.removed.length > 1)
      moves.push({ name: `take ${answer.nonce} in part`, apply: (next) => take(next, true) })
    return moves
  }

  /**
   * Nothing is under way: what is good is there. Of what is bad something good of before may be, as part of a refused answer may have
   * been taken. What nobody wants is gone; of a name that was asked for, the one who asked lets go.
   */
  function judgeEnd({ side, names, has, table }: Scene): void {
    const wanted = tableOf(tables[table] ?? '').filter(({ name }) => wildcard || names.has(name))
    for (const one of wanted) {
      const version = has.get(one.name)
      if (!isBad(one) && version !== one.version)
        throw new Error(`${one.name}: expected ${one.version}, found ${version ?? 'nothing'}`)
      if (isBad(one) && side.refused.get(one.name) !== one.version)
        throw new Error(`${one.name}: ${one.version} was never refused for itself`)
      const accepted = side.held.get(one.name)?.version
      if (isBad(one) && accepted !== undefined && accepted !== version)
        throw new Error(`${one.name}: it accepted ${accepted} last, and has ${version ?? 'nothing'}`)
    }
    const isLeft = (name: string) => (wildcard ? !wanted.some((one) => one.name === name) : !names.has(name))
    const extra = [...has.keys()].filter(isLeft)
    if (extra.length > 0) throw new Error(`${extra} should be gone`)
    if (side.pending.size > 0 || side.owed.size > 0) throw new Error('something is owed still')
  }

  const initial: Scene = {
    side: createDeltaSide<Versioned>(),
    table: 0,
    asked: 0,
    nonce: 0,
    toPeer: [],
    toServer: [],
    names: new Set(),
    has: new Map(tableOf(before).map(({ name, version }) => [name, version])),
  }
  return explore(initial, movesOf, judgeEnd)
}

describe('every order of events at the delta side', () => {
  it.each(scripts)('DD8 $name: the peer ends with its complete table', (script) => {
    const { states, ends } = walk(script)
    console.info(`delta, ${script.name}: ${states} states, ${ends} ends`)
    expect(states).toBeGreaterThan(100)
  })
})
