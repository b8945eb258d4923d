import {
  type AnsweringEffect,
  type AnsweringState,
  answeringStep,
  createAnswering,
} from '@zonemesh/shared/query/answering.ts'
import { type AskingEffect, type AskingState, askingStep, createAsking } from '@zonemesh/shared/query/asking.ts'
import { atOnceMax, partBytesMax, type QueryFrame } from '@zonemesh/shared/query/query.ts'
import { expect, test } from 'vitest'
import { explore, type Move } from './explore.ts'

/** Two peers and the two directions of their line. Everything that may happen to queries is a move. */
interface Scene {
  readonly asking: AskingState
  readonly answering: AnsweringState
  readonly toAnswerer: QueryFrame[]
  readonly toAsker: QueryFrame[]
  /** How each query has ended. */
  readonly ends: Record<number, string>
  /** Handlers that run now, needed or not. */
  handlers: number[]
  needed: number[]
  turn: boolean
  asked: number
  left: number
  open: boolean
}

const bytesOf = (id: number): number => (id === 1 ? partBytesMax + 1 : 1)

function askerDoes(scene: Scene, effects: readonly AskingEffect[]): void {
  for (const effect of effects) {
    if (effect.type === 'send') {
      if (scene.open) scene.toAnswerer.push(effect.frame)
      continue
    }
    if (scene.ends[effect.id] !== undefined) throw new Error(`query ${effect.id} ends twice`)
    const size = effect.type === 'answered' ? effect.parts.reduce((sum, { length }) => sum + length, 0) : 0
    if (effect.type === 'answered' && size !== bytesOf(effect.id))
      throw new Error(`query ${effect.id} has ${size} bytes, expected ${bytesOf(effect.id)}`)
    scene.ends[effect.id] = effect.type === 'answered' ? 'answered' : effect.failure.code
  }
  if (scene.asking.running.size > atOnceMax) throw new Error('too many queries run')
}

function answererDoes(scene: Scene, effects: readonly AnsweringEffect[]): void {
  for (const effect of effects) {
    if (effect.type === 'send') {
      if (!scene.open) throw new Error('a frame is sent after the end of the session')
      scene.toAsker.push(effect.frame)
    } else if (effect.type === 'await-turn') {
      if (scene.turn) throw new Error('two turns are awaited at a time')
      scene.turn = true
    } else if (effect.type === 'handle') {
      scene.handlers.push(effect.id)
      scene.needed.push(effect.id)
    } else scene.needed = scene.needed.filter((id) => id !== effect.id)
  }
  if (scene.needed.length > atOnceMax) throw new Error('more than two handlers run that are needed')
  if (scene.handlers.length > 2 * atOnceMax) throw new Error('too many handlers run')
}

const queries = 4
/** Each of the first two queries may be left by its caller at any time. */
const leavers = 2

function movesOf(scene: Scene): readonly Move<Scene>[] {
  const moves: Move<Scene>[] = []
  const add = (name: string, apply: (next: Scene) => void) => moves.push({ name, apply })
  if (scene.asked < queries)
    add(`ask ${scene.asked + 1}`, (next) => {
      next.asked += 1
      const frame = { type: 'ask', id: next.asked, name: 'q', request: new Uint8Array() } as const
      askerDoes(next, askingStep(next.asking, { type: 'ask', frame }))
    })
  if (scene.left < Math.min(leavers, scene.asked))
    add(`leave ${scene.left + 1}`, (next) => {
      next.left += 1
      const failure = { code: 'cancelled', reason: '' } as const
      askerDoes(next, askingStep(next.asking, { type: 'leave', id: next.left, failure }))
    })
  if (scene.toAnswerer.length > 0)
    add('deliver a question', (next) => {
      const frame = next.toAnswerer.shift()
      if (frame?.type === 'ask' || frame?.type === 'cancel') answererDoes(next, answeringStep(next.answering, frame))
    })
  if (scene.toAsker.length > 0)
    add('deliver an answer', (next) => {
      const frame = next.toAsker.shift()
      if (frame?.type === 'answer' || frame?.type === 'fault') askerDoes(next, askingStep(next.asking, frame))
    })
  for (const id of scene.handlers)
    add(`handler ${id} ends`, (next) => {
      next.handlers = next.handlers.filter((one) => one !== id)
      next.needed = next.needed.filter((one) => one !== id)
      const result = { ok: true, value: new Uint8Array(bytesOf(id)) } as const
      answererDoes(next, answeringStep(next.answering, { type: 'handled', id, result }))
    })
  if (scene.turn)
    add('a turn', (next) => {
      next.turn = false
      answererDoes(next, answeringStep(next.answering, { type: 'turn' }))
    })
  if (scene.open && scene.asked === queries)
    add('the session ends', (next) => {
      next.open = false
      next.toAnswerer.length = 0
      next.toAsker.length = 0
      askerDoes(next, askingStep(next.asking, { type: 'closed', reason: 'ended' }))
      answererDoes(next, answeringStep(next.answering, { type: 'closed' }))
    })
  return moves
}

test('QX11 in every order of events each query ends exactly once, no limit is exceeded, and nothing is left over', () => {
  const scene: Scene = {
    ...{ asking: createAsking(), answering: createAnswering(), toAnswerer: [], toAsker: [], ends: {} },
    ...{ handlers: [], needed: [], turn: false, asked: 0, left: 0, open: true },
  }
  const kinds = new Set<string>()
  const { ends } = explore(scene, movesOf, ({ asking, answering, ends }) => {
    expect(Object.keys(ends)).toEqual(['1', '2', '3', '4'])
    expect([asking.running.size, asking.waiting.length]).toEqual([0, 0])
    expect([answering.handled.size, answering.ready.length]).toEqual([0, 0])
    for (const end of Object.values(ends)) kinds.add(end)
  })
  expect(ends).toBeGreaterThan(1)
  expect([...kinds].sort()).toEqual(['answered', 'cancelled', 'ended'])
})
