import { keyText } from '@zonemesh/shared/resource/resource.ts'
import type { RowMessage } from '@zonemesh/shared/sync/log/messages.ts'
import {
  createOutbound,
  type OutboundEffect,
  type OutboundEvent,
  type OutboundState,
  outboundStep,
} from '@zonemesh/shared/sync/log/outbound.ts'
import { describe, expect, it } from 'vitest'
import { explore, type Move } from './explore.ts'
import { createLog, expectSame, outboundSight, put, remove } from './sync-model.ts'

const log = createLog([
  [put('global Policy a'), put('east Relayed s'), put('global Internal i')],
  [put('global Policy b'), put('global Chosen c', { zone: 'west' })],
  [remove('global Policy a')],
  [put('global Chosen c', { zone: 'east' }), put('west Relayed own')],
  [put('global Policy a'), remove('east Relayed s')],
])

interface Scene {
  readonly outbound: OutboundState
  head: number
  horizon: number
  pruned: boolean
  /** A wake-up that was not delivered yet: hints may arrive late. */
  hint: boolean
  reads: Exclude<OutboundEffect, { type: 'send' }>[]
  /** Bytes that the reader has received and not credited yet. */
  uncredited: number
  /** The rows of a reader: staged, and as of the last mark. */
  staged: Map<string, number>
  marked: Map<string, number>
  mark: number
}

const deps = { sight: outboundSight, measure: () => 40_000 }

function step(scene: Scene, event: OutboundEvent): void {
  for (const effect of outboundStep(scene.outbound, event, deps)) {
    if (effect.type === 'send') receive(scene, effect.message)
    else scene.reads.push(effect)
  }
  if (scene.reads.length > 1) throw new Error('two reads at a time')
}

function receive(scene: Scene, message: RowMessage): void {
  switch (message.type) {
    case 'replace':
      scene.staged = new Map()
      return
    case 'rows':
      scene.uncredited += message.bytes
      for (const { key, state, stamp } of message.rows) {
        if (state === 'live') scene.staged.set(keyText(key), stamp.originRevision)
        else scene.staged.delete(keyText(key))
      }
      return
    case 'mark':
      if (message.position.revision < scene.mark) throw new Error('a mark went back')
      scene.mark = message.position.revision
      scene.marked = new Map(scene.staged)
      expectSame(scene.marked, log.projection(scene.mark), `at mark ${scene.mark}`)
  }
}

function movesOf(scene: Scene): Move<Scene>[] {
  const moves: Move<Scene>[] = []
  const add = (possible: boolean, name: string, apply: (scene: Scene) => void) =>
    possible && moves.push({ name, apply })
  add(scene.head < log.length, `commit ${scene.head + 1}`, (next) => {
    next.head += 1
    next.hint = true
  })
  add(scene.hint, 'wake', (next) => {
    next.hint = false
    step(next, { type: 'woken' })
  })
  add(scene.reads.length > 0, `answer ${scene.reads[0]?.type}`, (next) => {
    const read = next.reads.shift()
    if (read) step(next, log.answer(read, next.head, next.horizon))
  })
  add(scene.uncredited > 0, 'credit', (next) => {
    const bytes = next.uncredited
    next.uncredited = 0
    step(next, { type: 'credited', bytes })
  })
  add(!scene.pruned && scene.head >= 2, `prune to ${scene.head}`, (next) => {
    next.pruned = true
    next.horizon = next.head
  })
  return moves
}

function opened(from: number | undefined): Scene {
  const start = from ?? 0
  const held = () => (from === undefined ? new Map<string, number>() : log.projection(from))
  const scene: Scene = {
    outbound: createOutbound(),
    head: start,
    horizon: 0,
    pruned: false,
    hint: false,
    reads: [],
    uncredited: 0,
    staged: held(),
    marked: held(),
    mark: start,
  }
  step(scene, { type: 'credited', bytes: 1 })
  step(scene, {
    type: 'opened',
    position: from === undefined ? undefined : log.position(from),
    reason: from === undefined ? 'new' : undefined,
    newest: log.position(start),
  })
  return scene
}

describe('every order of events at the outbound step', () => {
  it.each([undefined, 0, 1, 2])(
    'Y37 a reader that starts at %s sees snapshots at every mark and ends at the head',
    (from) => {
      const { states, ends } = explore(opened(from), movesOf, (scene) => {
        if (scene.mark !== log.length) throw new Error(`ended at mark ${scene.mark} of ${log.length}`)
      })
      console.info(`outbound from ${from ?? 'nothing'}: ${states} states, ${ends} ends`)
      expect(states).toBeGreaterThan(100)
    },
  )
})
