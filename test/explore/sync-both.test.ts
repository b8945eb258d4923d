import { keyText } from '@zonemesh/shared/resource/resource.ts'
import type { Position } from '@zonemesh/shared/store/store.ts'
import {
  createInbound,
  type InboundEffect,
  type InboundEvent,
  type InboundState,
  inboundDefaults,
  inboundStep,
} from '@zonemesh/shared/sync/log/inbound.ts'
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
import {
  applyTo,
  createLog,
  expectSame,
  held,
  inboundSight,
  outboundSight,
  put,
  type Rows,
  remove,
} from './sync-model.ts'

const log = createLog([
  [put('global Policy a'), put('east Relayed s')],
  [put('global Chosen c', { zone: 'west' }), remove('global Policy a')],
  [put('global Chosen c', { zone: 'east' }), put('global Policy a'), remove('east Relayed s')],
])

/** One session with all messages in transit. Losing it loses them all. */
interface Link {
  readonly outbound: OutboundState
  readonly inbound: InboundState
  hint: boolean
  reads: Exclude<OutboundEffect, { type: 'send' }>[]
  down: RowMessage[]
  credit: number
  tasks: Extract<InboundEffect, { type: 'list' | 'apply' }>[]
}

interface Scene {
  head: number
  horizon: number
  pruned: boolean
  lossesLeft: number
  link: Link | undefined
  /** The zone's store: its rows, and its position as the same commit wrote it. */
  readonly rows: Rows
  position: Position | undefined
  zoneRevision: number
}

const outboundDeps = { sight: outboundSight, measure: () => 40_000 }
const inboundDeps = { ...inboundDefaults, sight: inboundSight, owner: 'global', holds: true, relays: true, driftMax: 2 }

function outward(link: Link, event: OutboundEvent): void {
  for (const effect of outboundStep(link.outbound, event, outboundDeps)) {
    if (effect.type === 'send') link.down.push(effect.message)
    else link.reads.push(effect)
  }
}

function inward(scene: Scene, link: Link, event: InboundEvent): void {
  for (const effect of inboundStep(link.inbound, event, inboundDeps)) {
    switch (effect.type) {
      case 'credit':
        link.credit += effect.bytes
        break
      case 'stored':
        expectSame(held(scene.rows), log.projection(effect.position.revision), `stored ${effect.position.revision}`)
        break
      case 'list':
      case 'apply':
        link.tasks.push(effect)
        break
      case 'refused':
      case 'held':
      case 'goodbye':
        throw new Error(`unexpected ${JSON.stringify(effect)}`)
    }
  }
  if (link.tasks.length > 1) throw new Error('two rounds are applied at a time')
}

function perform(scene: Scene, link: Link): void {
  const task = link.tasks.shift()
  if (task?.type === 'list') {
    const live = [...scene.rows.values()].filter((version) => version.state === 'live')
    inward(scene, link, {
      type: 'listed',
      rows: live
        .filter(({ key }) => task.origins.includes(key.origin))
        .map(({ key, stamp }) => ({ key, incarnation: stamp.incarnation })),
      otherOrigins: [],
    })
    return
  }
  if (!task) return
  const before = new Map(scene.rows)
  scene.zoneRevision += 1
  for (const version of applyTo(scene.rows, task.changes, scene.zoneRevision)) {
    const former = before.get(keyText(version.key))
    if (former && former.stamp.originRevision > version.stamp.originRevision)
      throw new Error(`older over newer at ${keyText(version.key)}`)
    if (version.key.origin === 'west') throw new Error('the zone’s own row was touched')
  }
  scene.position = task.position
  inward(scene, link, { type: 'applied' })
}

function open(scene: Scene): void {
  const { position } = scene
  const reason = position === undefined ? 'new' : position.revision < scene.horizon ? 'behind' : undefined
  const link: Link = {
    outbound: createOutbound(),
    inbound: createInbound('global-store', position),
    hint: false,
    reads: [],
    down: [],
    credit: 0,
    tasks: [],
  }
  scene.link = link
  outward(link, { type: 'credited', bytes: 1 })
  const newest = log.position(scene.head)
  outward(link, { type: 'opened', position: reason ? undefined : position, reason, newest })
}

function movesOf(scene: Scene): Move<Scene>[] {
  const moves: Move<Scene>[] = []
  const { link } = scene
  const add = (possible: boolean, name: string, apply: (scene: Scene, link: Link) => void) => {
    if (possible) moves.push({ name, apply: (next) => next.link && apply(next, next.link) })
  }
  if (scene.head < log.length) {
    moves.push({
      name: `commit ${scene.head + 1}`,
      apply(next) {
        next.head += 1
        if (next.link) next.link.hint = true
      },
    })
  }
  if (!scene.pruned && scene.head >= 2) {
    moves.push({
      name: `prune to ${scene.head}`,
      apply(next) {
        next.pruned = true
        next.horizon = next.head
      },
    })
  }
  if (!link) return [...moves, { name: 'open', apply: open }]
  add(link.hint, 'wake', (_, next) => {
    next.hint = false
    outward(next, { type: 'woken' })
  })
  add(link.reads.length > 0, `answer ${link.reads[0]?.type}`, (nextScene, next) => {
    const read = next.reads.shift()
    if (read) outward(next, log.answer(read, nextScene.head, nextScene.horizon))
  })
  add(link.down.length > 0, `deliver ${link.down[0]?.type}`, (nextScene, next) => {
    const message = next.down.shift()
    if (message) inward(nextScene, next, message)
  })
  add(link.credit > 0, 'credit', (_, next) => {
    const bytes = next.credit
    next.credit = 0
    outward(next, { type: 'credited', bytes })
  })
  add(link.tasks.length > 0, `${link.tasks[0]?.type}`, perform)
  const isBusy = link.hint || link.reads.length + link.down.length + link.tasks.length + link.credit > 0
  add(scene.lossesLeft > 0 && isBusy, 'lose', (next) => {
    next.lossesLeft -= 1
    next.link = undefined
  })
  return moves
}

function scene(position: number | undefined, lossesLeft: number): Scene {
  const rows: Rows = new Map()
  applyTo(rows, [put('west Relayed own'), put('west Policy local')], 1)
  // A row of the global from before the horizon of the log: only a replacement may remove it.
  const stamp = { incarnation: 0, originRevision: 1, createdAtMs: 0, modifiedAtMs: 0 }
  const stale = put('global Policy stale')
  if (position === undefined && stale.op === 'put') applyTo(rows, [{ ...stale, stamp }], 1)
  return {
    head: position ?? 1,
    horizon: 0,
    pruned: false,
    lossesLeft,
    link: undefined,
    rows,
    position: position === undefined ? undefined : log.position(position),
    zoneRevision: 1,
  }
}

describe('both steps of sync, with sessions lost at any point', () => {
  it.each([
    ['a new zone', undefined, 2],
    ['a zone that reconnects', 0, 2],
  ] as const)(
    'Y37 %s: each mark is a snapshot, own rows of the zone are unchanged, and both ends agree at the end',
    (title, position, losses) => {
      const { states, ends } = explore(scene(position, losses), movesOf, (end) => {
        expectSame(held(end.rows), log.projection(log.length), 'at the end')
        if (end.link?.inbound.position?.revision !== log.length)
          throw new Error('the zone does not know that it is current')
        if (end.rows.get('west/Policy//local')?.state !== 'live') throw new Error('the zone’s own row is gone')
      })
      console.info(`both steps, ${title}: ${states} states, ${ends} ends`)
      expect(states).toBeGreaterThan(1000)
    },
  )
})
