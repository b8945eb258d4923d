import { keyText } from '@zonemesh/shared/resource/resource.ts'
import type { Position } from '@zonemesh/shared/store/store.ts'
import {
  createInbound,
  type InboundDeps,
  type InboundEffect,
  type InboundEvent,
  type InboundState,
  inboundDefaults,
  inboundStep,
} from '@zonemesh/shared/sync/log/inbound.ts'
import type { Delivered, ReplaceReason, RowMessage } from '@zonemesh/shared/sync/log/messages.ts'
import { describe, expect, it } from 'vitest'
import { explore, type Move } from './explore.ts'
import { applyTo, expectSame, inboundSight, outboundSight, put, type Rows } from './sync-model.ts'

const at = (revision: number): Position => ({ store: 'global-store', revision, commitId: `c${revision}` })

function row(text: string, originRevision: number, incarnation = 1): Delivered {
  const { key } = put(text)
  const stamp = { incarnation, originRevision, createdAtMs: 0, modifiedAtMs: 0 }
  return Object.freeze({ key, state: 'live', stamp, row: { key, stamp, labels: {}, spec: {} } })
}
function gone(text: string, originRevision: number): Delivered {
  const { key, stamp } = row(text, originRevision)
  return Object.freeze({ key, state: 'deleted', stamp })
}
const rows = (...found: Delivered[]): RowMessage => Object.freeze({ type: 'rows', rows: found, bytes: found.length })
const mark = (revision: number): RowMessage => Object.freeze({ type: 'mark', position: at(revision) })
const replace = (reason: ReplaceReason, revision: number, ...origins: string[]): RowMessage =>
  Object.freeze({ type: 'replace', origins, position: at(revision), reason })

interface Script {
  readonly name: string
  /** The rows of the reader and their revision. */
  readonly before: readonly Delivered[]
  readonly position: number | undefined
  readonly uncovered?: readonly string[]
  readonly messages: readonly RowMessage[]
  /**
   * A mark that waits for a release, or for a later complete statement of the owner: until then its removals are not
   * applied.
   */
  readonly hold?: { readonly id: string; readonly keeps: readonly string[]; readonly overAt?: number }
  readonly deps?: Partial<InboundDeps>
}

const many = Array.from({ length: 12 }, (_unused, index) => `global Policy p${String(index).padStart(2, '0')}`)
const mostOfThem = many.slice(0, 11)

const scripts: readonly Script[] = [
  {
    name: 'rounds, a repeated mark, marks without rows',
    before: [row('global Policy a', 1)],
    position: 1,
    messages: [
      ...[rows(row('global Policy b', 2), row('east Relayed s', 1)), rows(gone('global Policy a', 2)), mark(2)],
      ...[rows(row('global Policy a', 1)), mark(1), mark(3)],
      ...[
        rows(row('global Policy a', 4), gone('east Relayed s', 2)),
        mark(4),
        mark(5),
        rows(row('global Policy b', 6)),
      ],
      mark(6),
    ],
  },
  {
    name: 'a commit that removes very many rows',
    before: [...many.map((text) => row(text, 1)), row('east Relayed s', 1)],
    position: 1,
    messages: [
      ...[rows(...mostOfThem.map((text) => gone(text, 2)), row('east Relayed t', 2)), mark(2)],
      ...[rows(gone('east Relayed s', 3)), mark(3), rows(row('global Policy q', 4), row('east Relayed u', 4)), mark(4)],
      ...[replace('late', 5, 'north'), rows(row('north Relayed n', 1)), mark(5)],
    ],
    uncovered: ['north'],
    hold: { id: 'commit:1.2', keeps: mostOfThem },
  },
  {
    name: 'another history of the known store',
    before: [row('global Policy a', 1), row('global Policy b', 3), row('east Relayed s', 1)],
    position: 3,
    messages: [
      ...[replace('diverged', 2, 'global'), rows(row('global Policy a', 1), row('global Policy c', 2)), mark(2)],
      ...[rows(row('east Relayed t', 2)), mark(3), replace('late', 4, 'east'), rows(row('east Relayed t', 2)), mark(4)],
      ...[rows(row('global Policy d', 5)), mark(5)],
    ],
    uncovered: ['east'],
    hold: { id: 'history:global-store', keeps: ['global Policy b'] },
  },
  {
    name: 'an empty replacement, and a complete one after it',
    before: [row('global Policy a', 1), row('global Policy b', 1), row('east Relayed s', 1)],
    position: 1,
    messages: [
      ...[replace('behind', 2, 'global', 'east'), rows(row('east Relayed s', 1), row('east Relayed t', 2)), mark(2)],
      ...[rows(gone('east Relayed s', 3)), mark(3)],
      ...[replace('behind', 4, 'global', 'east'), rows(row('global Policy a', 4), row('east Relayed t', 2)), mark(4)],
      ...[rows(row('global Policy e', 5)), mark(5)],
    ],
    hold: { id: 'replacement:global-store', keeps: ['global Policy a', 'global Policy b'], overAt: 4 },
  },
  {
    name: 'late replacements of unnamed origins',
    before: [row('global Policy a', 1), row('east Relayed s', 1), row('north Relayed n', 1)],
    position: 1,
    uncovered: ['east', 'north'],
    messages: [
      ...[rows(row('global Policy b', 2)), mark(2), replace('late', 3, 'east'), rows(row('east Relayed t', 2))],
      ...[rows(row('global Policy c', 3)), mark(3), rows(row('east Relayed u', 4)), mark(4)],
      ...[replace('late', 5, 'north'), mark(5)],
    ],
  },
  {
    name: 'a new incarnation of a zone, at the global',
    before: [row('west Relayed a', 9), row('west Relayed b', 9), row('east Relayed s', 1)],
    position: 9,
    messages: [
      ...[replace('new', 1, 'west'), rows(row('west Relayed a', 1, 2)), mark(1)],
      ...[
        rows(row('west Relayed c', 2, 2), row('east Relayed s', 5)),
        mark(2),
        rows(row('west Relayed a', 3, 2)),
        mark(3),
      ],
    ],
    deps: { sight: outboundSight, owner: 'west', holds: false, relays: false, formerBelow: 2 },
  },
]

/** The rows that a reader must have at each mark, if everything is released: key text → owner's stamp. */
function expectations({ before, messages, position, deps }: Script): ReadonlyMap<number, Map<string, number>> {
  const sight = deps?.sight ?? inboundSight
  const now = new Map(before.map((one) => [keyText(one.key), one]))
  const found = new Map<number, Map<string, number>>()
  let staged = new Map<string, Delivered>()
  let named: readonly string[] | undefined
  let newest = position ?? 0
  for (const message of messages) {
    if (message.type === 'rows')
      for (const one of message.rows) if (sight.accepts(one.key)) staged.set(keyText(one.key), one)
    if (message.type === 'replace') [named, staged] = [message.origins, new Map()]
    if (message.type !== 'mark') continue
    const { revision } = message.position
    if (named || revision > newest) {
      for (const [text, one] of now) {
        const isFormer = one.stamp.incarnation < (deps?.formerBelow ?? 0)
        if (named?.includes(one.key.origin) && !staged.has(text) && !isFormer) now.delete(text)
      }
      for (const [text, one] of staged) {
        if (one.state === 'live') now.set(text, one)
        else now.delete(text)
      }
      newest = revision
      found.set(revision, new Map([...now].map(([text, one]) => [text, one.stamp.originRevision])))
    }
    ;[named, staged] = [undefined, new Map()]
  }
  return found
}

interface Scene {
  readonly inbound: InboundState
  readonly rows: Rows
  revision: number
  delivered: number
  /** The place in the script of the last mark that was stored. */
  storedAt: number
  uncovered: readonly string[]
  tasks: Extract<InboundEffect, { type: 'list' | 'apply' }>[]
  toRelease: readonly string[]
  released: readonly string[]
}

function walk(script: Script) {
  const deps: InboundDeps = {
    ...inboundDefaults,
    ...{ sight: inboundSight, owner: 'global', holds: true, relays: true, driftMax: 3 },
    ...script.deps,
  }
  const { messages, hold } = script
  const expected = expectations(script)
  const marks = messages.flatMap((message) => (message.type === 'mark' ? [message.position.revision] : []))
  const last = marks.at(-1) ?? 0
  const live = (scene: Scene, of = (_origin: string): boolean => true) => {
    const found = [...scene.rows.values()].filter(({ state, key }) => state === 'live' && of(key.origin))
    return new Map(found.map(({ key, stamp }) => [keyText(key), stamp.originRevision]))
  }
  const others = (rowsByText: ReadonlyMap<string, number>) =>
    new Map([...rowsByText].filter(([text]) => !text.startsWith(`${deps.owner}/`)))

  function feed(scene: Scene, event: InboundEvent): void {
    for (const effect of inboundStep(scene.inbound, event, deps)) {
      if (effect.type === 'list' || effect.type === 'apply') scene.tasks.push(effect)
      if (effect.type === 'stored') stored(scene, effect.position.revision)
      if (effect.type === 'goodbye') throw new Error(`unexpected goodbye: ${effect.reason}`)
    }
    if (scene.tasks.length > 1) throw new Error('two rounds are applied at a time')
  }

  function stored(scene: Scene, revision: number): void {
    const place = marks.lastIndexOf(revision)
    if (place <= scene.storedAt) throw new Error(`the position went back to ${revision}`)
    scene.storedAt = place
    expectSame(live(scene), expected.get(revision) ?? new Map(), `stored ${revision}`)
  }

  const isOver = (scene: Scene): boolean =>
    hold === undefined ||
    scene.released.includes(hold.id) ||
    messages.slice(0, scene.delivered).some((one) => one.type === 'mark' && one.position.revision === hold.overAt)

  function perform(scene: Scene): void {
    const task = scene.tasks.shift()
    if (task?.type === 'list') {
      const all = [...scene.rows.values()].filter(({ state }) => state === 'live')
      const named = all.filter(({ key }) => task.origins.includes(key.origin))
      const rest = all.filter(({ key }) => !task.origins.includes(key.origin)).map(({ key }) => key.origin)
      feed(scene, {
        type: 'listed',
        rows: named.map(({ key, stamp }) => ({ key, incarnation: stamp.incarnation })),
        otherOrigins: deps.relays ? [...new Set(rest)] : [],
      })
      return
    }
    if (!task) return
    scene.revision += 1
    applyTo(scene.rows, task.changes, scene.revision)
    judgeUncovered(scene, task.uncovered)
    const kept = live(scene)
    const lost = hold?.keeps.filter((text) => !kept.has(keyText(put(text).key))) ?? []
    if (!isOver(scene) && lost.length > 0) throw new Error(`what is held was done: ${lost} removed`)
    if (scene.inbound.held && task.position) throw new Error('the position moves in the store while rows are held')
    feed(scene, { type: 'applied' })
  }

  /** Only owners that were listed completely are covered. */
  function judgeUncovered(scene: Scene, uncovered: readonly string[]): void {
    const named = messages.slice(0, scene.delivered).flatMap((one) => (one.type === 'replace' ? one.origins : []))
    const vanished = scene.uncovered.filter((origin) => !uncovered.includes(origin) && !named.includes(origin))
    if (vanished.length > 0) throw new Error(`${vanished} count as named, and were not`)
    scene.uncovered = uncovered
  }

  function movesOf(scene: Scene): Move<Scene>[] {
    const moves: Move<Scene>[] = []
    const message = messages[scene.delivered]
    if (message)
      moves.push({
        name: `${message.type} ${scene.delivered}`,
        apply(next) {
          next.delivered += 1
          feed(next, message)
        },
      })
    if (scene.tasks.length > 0) moves.push({ name: scene.tasks[0]?.type ?? '', apply: perform })
    for (const id of scene.toRelease)
      moves.push({
        name: `release ${id}`,
        apply(next) {
          next.toRelease = next.toRelease.filter((one) => one !== id)
          // Before anything is held, a release has no effect.
          if (next.inbound.hold?.id === id) next.released = [...next.released, id]
          feed(next, { type: 'released', hold: id })
        },
      })
    if (!message && scene.tasks.length === 0) rest(scene)
    return moves
  }

  /** Everything has arrived and is done: rows of others are here, even if rows of the owner are held. */
  function rest(scene: Scene): void {
    const wanted = expected.get(last) ?? new Map<string, number>()
    if (scene.inbound.held) expectSame(others(live(scene)), others(wanted), 'the rows of others beside a hold')
    else expectSame(live(scene), wanted, 'at the end')
    if (!scene.inbound.held && scene.inbound.position?.revision !== last) throw new Error(`at rest before mark ${last}`)
  }

  const initial: Scene = {
    inbound: createInbound(
      'global-store',
      script.position === undefined ? undefined : at(script.position),
      script.uncovered,
    ),
    rows: new Map(),
    revision: 0,
    delivered: 0,
    storedAt: -1,
    uncovered: script.uncovered ?? [],
    tasks: [],
    toRelease: hold ? [hold.id, 'commit:9.9'] : [],
    released: [],
  }
  const known = script.before.map(({ key, stamp }) => ({ op: 'put', key, stamp, labels: {}, spec: {} }) as const)
  applyTo(initial.rows, known, 0)
  return explore(initial, movesOf, (scene) => {
    if (scene.inbound.held && scene.released.length > 0) throw new Error('what was let through is held still')
  })
}

describe('every order of events at the inbound step', () => {
  it.each(scripts)(
    'Y3 Y7 Y8 Y10 Y13 $name: each mark is a snapshot, held changes wait, and other rows continue',
    (script) => {
      const { states, ends } = walk(script)
      console.info(`inbound, ${script.name}: ${states} states, ${ends} ends`)
      expect(states).toBeGreaterThan(10)
    },
  )
})
