import { keyText, type ResourceKey } from '@zonemesh/shared/resource/resource.ts'
import {
  type Application,
  createInbound,
  type InboundEffect,
  type InboundEvent,
  type InboundState,
  inboundDefaults,
  inboundStep,
} from '@zonemesh/shared/sync/log/inbound.ts'
import type { Delivered, RowMessage } from '@zonemesh/shared/sync/log/messages.ts'
import { expect, it } from 'vitest'
import { explore, type Move } from './explore.ts'
import { inboundSight } from './sync-model.ts'

const key = (origin: string, kind: string, name: string): ResourceKey => ({ origin, kind, mesh: '', name })
const stampOf = (originRevision: number) => ({ incarnation: 1, originRevision, createdAtMs: 0, modifiedAtMs: 0 })
const live = (origin: string, kind: string, name: string, revision: number): Delivered => {
  const row = { key: key(origin, kind, name), stamp: stampOf(revision), labels: {}, spec: {} }
  return { key: row.key, state: 'live', stamp: row.stamp, row }
}
const gone = (origin: string, kind: string, name: string, revision: number): Delivered => ({
  key: key(origin, kind, name),
  state: 'deleted',
  stamp: stampOf(revision),
})
const rows = (...found: Delivered[]): RowMessage => Object.freeze({ type: 'rows', rows: found, bytes: found.length })
const mark = (revision: number): RowMessage =>
  Object.freeze({ type: 'mark', position: { store: 'g', revision, commitId: `c${revision}` } })

const policies = Array.from({ length: 20 }, (_, index) => `p${String(index).padStart(2, '0')}`)

/** The messages of the global, in this order: an undeclared mass removal, then other rows of itself and of zone east. */
const said: readonly RowMessage[] = [
  rows(...policies.slice(0, 12).map((name) => gone('global', 'Policy', name, 2))),
  mark(2),
  rows(live('east', 'Relayed', 's', 3)),
  mark(3),
  rows(live('global', 'Policy', 'q', 4)),
  mark(4),
  Object.freeze({
    type: 'replace',
    origins: ['east'],
    position: { store: 'g', revision: 5, commitId: 'c5' },
    reason: 'late',
  }),
  rows(live('east', 'Relayed', 't', 5)),
  mark(5),
]

interface Scene {
  next: number
  readonly inbound: InboundState
  /** Key texts. */
  held: string[]
  tasks: Extract<InboundEffect, { type: 'list' | 'apply' }>[]
  hold: string | undefined
  released: boolean
  position: number
}

const deps = { ...inboundDefaults, sight: inboundSight, owner: 'global', holds: true, relays: true }

function inward(scene: Scene, event: InboundEvent): void {
  for (const effect of inboundStep(scene.inbound, event, deps)) {
    if (effect.type === 'held') scene.hold = effect.hold?.id
    if (effect.type === 'stored') {
      if (effect.position.revision < scene.position) throw new Error('the position went back')
      scene.position = effect.position.revision
    }
    if (effect.type === 'list' || effect.type === 'apply') scene.tasks.push(effect)
    if (effect.type === 'goodbye' || effect.type === 'refused') throw new Error(`unexpected ${effect.type}`)
  }
  if (scene.tasks.length > 1) throw new Error('two rounds are applied at a time')
}

function apply(scene: Scene, { changes, position }: Application): void {
  const removed = changes.filter((change) => change.op !== 'put' && change.key.origin === 'global')
  if (removed.length > 0 && !scene.released) throw new Error('rows of the owner went although nobody had said so')
  if (position && !scene.released) throw new Error('the position moved past what is held')
  const now = new Set(scene.held)
  for (const change of changes) {
    if (change.op === 'put') now.add(keyText(change.key))
    else now.delete(keyText(change.key))
  }
  scene.held = [...now].sort()
  inward(scene, { type: 'applied' })
}

function movesOf(scene: Scene): Move<Scene>[] {
  const moves: Move<Scene>[] = []
  const message = said[scene.next]
  if (message) {
    moves.push({
      name: `deliver ${message.type}`,
      apply(next) {
        next.next += 1
        inward(next, message)
      },
    })
  }
  const task = scene.tasks[0]
  if (task) {
    moves.push({
      name: task.type,
      apply(next) {
        const [mine] = next.tasks.splice(0, 1)
        if (mine?.type === 'apply') return apply(next, mine)
        const keys = next.held.map((text) => {
          const [origin = '', kind = '', , name = ''] = text.split('/')
          return key(origin, kind, name)
        })
        const named = new Set(mine?.origins)
        inward(next, {
          type: 'listed',
          rows: keys.filter(({ origin }) => named.has(origin)).map((one) => ({ key: one, incarnation: 1 })),
          otherOrigins: [...new Set(keys.map(({ origin }) => origin))].filter((origin) => !named.has(origin)),
        })
      },
    })
  }
  if (scene.hold !== undefined && !scene.released) {
    moves.push({
      name: 'release',
      apply(next) {
        next.released = true
        inward(next, { type: 'released', hold: next.hold ?? '' })
      },
    })
  }
  return moves
}

it('Y7 in every order no row of the owner is removed before its release, rows of others continue, and everything arrives at the end', () => {
  const position = { store: 'g', revision: 1, commitId: 'c1' }
  const initial: Scene = {
    next: 0,
    inbound: createInbound('g', position, ['east']),
    held: [...policies.map((name) => `global/Policy//${name}`), 'east/Relayed//old'].sort(),
    tasks: [],
    hold: undefined,
    released: false,
    position: 1,
  }
  const { states, ends } = explore(initial, movesOf, (end) => {
    const kept = policies.slice(12).map((name) => `global/Policy//${name}`)
    expect(end.held).toEqual([...kept, 'global/Policy//q', 'east/Relayed//t'].sort())
    expect([end.position, end.hold, end.inbound.uncovered]).toEqual([5, undefined, []])
  })
  console.info(`inbound with holds: ${states} states, ${ends} ends`)
  expect(states).toBeGreaterThan(100)
})
