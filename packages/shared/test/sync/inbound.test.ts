import { describe, expect, it } from 'vitest'
import { keyText, type ResourceKey } from '../../src/resource/resource.ts'
import {
  createInbound,
  type InboundDeps,
  type InboundEffect,
  type InboundEvent,
  inboundDefaults,
  inboundStep,
} from '../../src/sync/log/inbound.ts'
import type { Delivered, ReplaceReason } from '../../src/sync/log/messages.ts'
import { partsOf, positionChange } from '../../src/sync/log/rounds.ts'
import { sightOfGlobal, sightOfZone } from '../../src/sync/log/who-sees.ts'
import { put, rules } from './mesh.ts'

const at = (revision: number, store = 'g') => ({ store, revision, commitId: `c${revision}` })
const keyOf = (origin: string, kind: string, name: string): ResourceKey => ({ origin, kind, mesh: 'default', name })
const live = (origin: string, kind: string, name: string, revision = 1): Delivered => {
  const key = keyOf(origin, kind, name)
  const stamp = { incarnation: 1, originRevision: revision, createdAtMs: 0, modifiedAtMs: 0 }
  return { key, stamp, state: 'live', row: { key, stamp, labels: {}, spec: {} } }
}
const rows = (...found: Delivered[]): InboundEvent => ({ type: 'rows', rows: found, bytes: 100 * found.length })
const mark = (revision: number): InboundEvent => ({ type: 'mark', position: at(revision) })
const replace = (origins: string[], revision: number, reason: ReplaceReason = 'behind'): InboundEvent => ({
  type: 'replace',
  origins,
  position: at(revision),
  reason,
})

function receiver(position?: ReturnType<typeof at>, overrides: Partial<InboundDeps> = {}) {
  const state = createInbound('g', position)
  const facts = { owner: 'global', holds: true, relays: true, sight: sightOfGlobal(rules, 'west') }
  const deps = { ...inboundDefaults, ...facts, ...overrides }
  return (event: InboundEvent): InboundEffect[] => inboundStep(state, event, deps)
}
const listed = (keys: readonly ResourceKey[], otherOrigins: string[] = [], incarnation = 1): InboundEvent => ({
  type: 'listed',
  rows: keys.map((key) => ({ key, incarnation })),
  otherOrigins,
})
const changesIn = (effects: InboundEffect[]) =>
  effects.flatMap((effect) =>
    effect.type === 'apply' ? effect.changes.map((change) => `${change.op} ${keyText(change.key)}`) : [],
  )

describe('the inbound step', () => {
  it('Y8 a release counts once, for what is held at that time, and the next large replacement is held again', () => {
    const step = receiver(at(1))
    const id = 'replacement:g'
    const here = listed([keyOf('global', 'Policy', 'a')])
    expect(step({ type: 'released', hold: id })).toEqual([])
    step(replace(['global'], 2))
    step(mark(2))
    expect(step(here)).toMatchObject([{ type: 'held', hold: { id } }])
    expect(step({ type: 'released', hold: id })).toEqual([{ type: 'list', origins: ['global'] }])
    expect(step({ type: 'released', hold: 'commit:9.9' })).toEqual([])
    expect(changesIn(step(here))).toEqual(['forget global/Policy/default/a'])
    step({ type: 'applied' })
    step(rows(live('global', 'Policy', 'a', 3)))
    step(mark(3))
    step({ type: 'applied' })
    step(replace(['global'], 4))
    step(mark(4))
    expect(step(here)).toMatchObject([{ type: 'held', hold: { id } }])
  })

  it('Y3 rows are staged until their mark, credited at once, and applied as one round', () => {
    const step = receiver(at(1))
    expect(step(rows(live('global', 'Policy', 'a')))).toEqual([{ type: 'credit', bytes: 100 }])
    expect(step(rows(live('global', 'Policy', 'b')))).toEqual([{ type: 'credit', bytes: 100 }])
    const effects = step(mark(2))
    expect(effects).toMatchObject([{ type: 'apply', position: at(2) }])
    expect(changesIn(effects)).toEqual(['put global/Policy/default/a', 'put global/Policy/default/b'])
    expect(step({ type: 'applied' })).toEqual([{ type: 'stored', position: at(2) }])
  })

  it('L6 rows of origins that the peer does not own are refused one by one, and all others are accepted', () => {
    const step = receiver(at(1))
    const forged = live('west', 'Service', 'mine')
    expect(step(rows(forged, live('global', 'Policy', 'a')))[0]).toEqual({ type: 'refused', keys: [forged.key] })
    expect(changesIn(step(mark(2)))).toEqual(['put global/Policy/default/a'])
  })

  it('L7 a replacement removes the rows that it omits, only of the origins that it names, and only at its end', () => {
    const step = receiver(at(1))
    step(replace(['global', 'west'], 5))
    step(rows(live('global', 'Policy', 'kept')))
    expect(step(mark(5))).toEqual([{ type: 'list', origins: ['global'] }])
    const here = [
      keyOf('global', 'Policy', 'kept'),
      keyOf('global', 'Policy', 'gone'),
      keyOf('global', 'SyncEpoch', 'own'),
      keyOf('east', 'Service', 'other'),
      keyOf('west', 'Service', 'mine'),
    ]
    expect(changesIn(step(listed(here)))).toEqual([
      'put global/Policy/default/kept',
      'forget global/Policy/default/gone',
    ])
  })

  it('L7 a replacement that is interrupted removes nothing, and the next one starts from the beginning', () => {
    const step = receiver(at(1))
    step(replace(['global'], 5))
    step(rows(live('global', 'Policy', 'old')))
    step(replace(['global'], 6))
    step(rows(live('global', 'Policy', 'new')))
    step(mark(6))
    expect(changesIn(step(listed([keyOf('global', 'Policy', 'old')])))).toEqual([
      'put global/Policy/default/new',
      'forget global/Policy/default/old',
    ])
  })

  it('Y2 a repeated mark changes nothing', () => {
    const step = receiver(at(5))
    step(rows(live('global', 'Policy', 'a')))
    expect(step(mark(4))).toEqual([])
    expect(step(mark(5))).toEqual([])
  })

  it('Y3 rounds that arrive while another round is being applied become one round', () => {
    const step = receiver(at(1))
    step(rows(live('global', 'Policy', 'a')))
    step(mark(2))
    step(rows(live('global', 'Policy', 'b')))
    expect(step(mark(3))).toEqual([])
    step(rows(live('global', 'Policy', 'b', 2), live('global', 'Policy', 'c')))
    expect(step(mark(4))).toEqual([])
    const effects = step({ type: 'applied' })
    expect(effects).toMatchObject([
      { type: 'stored', position: at(2) },
      { type: 'apply', position: at(4) },
    ])
    expect(changesIn(effects)).toEqual(['put global/Policy/default/b', 'put global/Policy/default/c'])
  })

  it('Y25 a mark without rows moves the position in memory, and is stored only after a while', () => {
    const step = receiver(at(1), { driftMax: 10 })
    for (let revision = 2; revision <= 10; revision += 1)
      expect(step(mark(revision))).toEqual([{ type: 'stored', position: at(revision) }])
    expect(step(mark(11))).toMatchObject([{ type: 'apply', changes: [], position: at(11) }])
  })

  it('F18 rows of another history are held, and rows that the owner only relays continue', () => {
    const step = receiver(at(5))
    step(replace(['global', 'east'], 3, 'diverged'))
    step(rows(live('global', 'Policy', 'old'), live('east', 'Service', 's')))
    step(mark(3))
    const here = [keyOf('global', 'Policy', 'new'), keyOf('east', 'Service', 'gone')]
    const effects = step(listed(here))
    expect(effects[0]).toMatchObject({ type: 'held', hold: { id: 'history:g', origin: 'global', removals: 1 } })
    expect(effects[0]).toMatchObject({ hold: { reason: expect.stringContaining('rolled back') } })
    expect(effects[1]).toMatchObject({ type: 'apply', position: undefined })
    expect(changesIn(effects)).toEqual(['put east/Service/default/s', 'forget east/Service/default/gone'])
    expect(step({ type: 'applied' })).toEqual([])
    expect(step({ type: 'released', hold: 'something else' })).toEqual([])
    expect(step({ type: 'released', hold: 'history:g' })).toEqual([{ type: 'list', origins: ['global'] }])
    const released = step(listed(here, ['east']))
    expect(released[0]).toEqual({ type: 'held', hold: undefined })
    expect(released[1]).toMatchObject({ type: 'apply', position: at(3), uncovered: [] })
    expect(changesIn(released)).toEqual(['put global/Policy/default/old', 'forget global/Policy/default/new'])
    expect(step({ type: 'applied' })).toEqual([{ type: 'stored', position: at(3) }])
  })

  it('F18 a row that another history has removed is removed even though its stamp is older', () => {
    const step = receiver(at(5))
    const policy = keyOf('global', 'Policy', 'a')
    step(replace(['global'], 3, 'diverged'))
    step(rows(live('global', 'Policy', 'a', 2)))
    step(mark(3))
    step(listed([policy]))
    step(
      rows({
        key: policy,
        state: 'deleted',
        stamp: { incarnation: 1, originRevision: 4, createdAtMs: 0, modifiedAtMs: 0 },
      }),
    )
    step(mark(4))
    step(listed([policy]))
    step({ type: 'released', hold: 'history:g' })
    expect(changesIn(step(listed([policy])))).toEqual(['forget global/Policy/default/a'])
  })

  it('F18 a store whose revision has passed the reader is distinguished from a store that was rolled back', () => {
    const step = receiver(at(5))
    step(replace(['global'], 9, 'diverged'))
    step(mark(9))
    const [held] = step(listed([keyOf('global', 'Policy', 'a')]))
    expect(held).toMatchObject({ hold: { reason: expect.stringContaining('another history') } })
  })

  const policies = (count: number) =>
    Array.from({ length: count }, (_, index) => keyOf('global', 'Policy', `p${index}`))
  const removed = (key: ResourceKey, originRevision: number, declared = false): Delivered => ({
    key,
    state: 'deleted',
    stamp: { incarnation: 1, originRevision, createdAtMs: 0, modifiedAtMs: 0 },
    ...(declared ? { declared: true } : {}),
  })

  it('F26 a commit that removes many rows without a declaration is held with all later commits, and a release applies them all', () => {
    const step = receiver(at(1))
    const here = policies(30)
    step(rows(...here.slice(0, 20).map((key) => removed(key, 2))))
    expect(step(mark(2))).toEqual([{ type: 'list', origins: ['global'] }])
    expect(step(listed(here))).toMatchObject([{ type: 'held', hold: { id: 'commit:1.2', removals: 20 } }])
    step(rows(live('global', 'Policy', 'later', 3)))
    expect(step(mark(3))).toEqual([{ type: 'list', origins: ['global'] }])
    expect(step(listed(here))).toEqual([])
    step(rows(live('east', 'Service', 's')))
    expect(changesIn(step(mark(4)))).toEqual(['put east/Service/default/s'])
    step({ type: 'applied' })
    step({ type: 'released', hold: 'commit:1.2' })
    const effects = step(listed(here))
    expect(changesIn(effects)).toHaveLength(21)
    expect(effects.at(-1)).toMatchObject({ position: at(4) })
  })

  it('F26 many removals in many commits, declared removals and few removals are not held', () => {
    const here = policies(30)
    const single = receiver(at(1))
    single(rows(...here.slice(0, 20).map((key, index) => removed(key, index + 2))))
    expect(single(mark(25))).toMatchObject([{ type: 'apply' }])
    const declared = receiver(at(1))
    declared(rows(...here.slice(0, 20).map((key) => removed(key, 2, true))))
    expect(declared(mark(2))).toMatchObject([{ type: 'apply' }])
    const small = receiver(at(1))
    small(rows(...here.slice(0, 11).map((key) => removed(key, 2))))
    small(mark(2))
    expect(small(listed(policies(100)))).toMatchObject([{ type: 'apply' }])
  })

  it('F26 a hold ends by itself when the owner restores the removed rows', () => {
    const step = receiver(at(1))
    const here = policies(30)
    step(rows(...here.slice(0, 20).map((key) => removed(key, 2))))
    step(mark(2))
    step(listed(here))
    step(rows(...here.slice(0, 20).map(({ kind, name }) => live('global', kind, name, 3))))
    expect(step(mark(3))).toMatchObject([
      { type: 'held', hold: undefined },
      { type: 'apply', position: at(3) },
    ])
  })

  it('F27 a replacement that omits most of a kind is held', () => {
    const step = receiver(at(1))
    step(replace(['global'], 5))
    step(rows(live('global', 'Policy', 'p0')))
    step(mark(5))
    expect(step(listed(policies(30)))).toMatchObject([
      { type: 'held', hold: { id: 'replacement:g', removals: 29, reason: expect.stringContaining('29 of 30 Policy') } },
    ])
  })

  it('F22 the rows of a former incarnation stay for a while', () => {
    const step = receiver(undefined, {
      owner: 'west',
      holds: false,
      relays: false,
      formerBelow: 7,
      sight: sightOfZone(rules, 'west'),
    })
    step(replace(['west'], 5, 'diverged'))
    step(rows(live('west', 'Dataplane', 'a')))
    step(mark(5))
    const effects = step(listed([keyOf('west', 'Dataplane', 'a'), keyOf('west', 'Dataplane', 'b')], [], 6))
    expect(effects).toMatchObject([{ type: 'apply', former: 1 }])
    expect(changesIn(effects)).toEqual(['put west/Dataplane/default/a'])
  })

  it('L7 origins whose rows a new store has not named are kept until it names them', () => {
    const step = receiver(undefined)
    step(replace(['global'], 5, 'new'))
    step(mark(5))
    expect(step(listed([], ['east', 'north']))).toMatchObject([{ uncovered: ['east', 'north'] }])
    step({ type: 'applied' })
    step(replace(['east'], 6, 'late'))
    step(mark(6))
    const late = step(listed([keyOf('east', 'Service', 'gone')], ['global', 'north']))
    expect(late).toMatchObject([{ uncovered: ['north'], position: at(6) }])
    expect(changesIn(late)).toEqual(['forget east/Service/default/gone'])
  })

  it('Y9 a mark of another store ends the session', () => {
    expect(receiver(at(1))({ type: 'mark', position: at(2, 'other') })).toMatchObject([
      { type: 'goodbye', code: 'protocol' },
    ])
  })

  it('L8 a peer that never sends a mark does not exhaust the memory', () => {
    const step = receiver(at(1), { stagedBytesMax: 250 })
    step(rows(live('global', 'Policy', 'a'), live('global', 'Policy', 'b')))
    expect(step(rows(live('global', 'Policy', 'c')))).toMatchObject([{ type: 'goodbye', code: 'too-large' }])
  })
})

describe('the parts of a round', () => {
  const position = positionChange('west', 'global', at(7))
  const why = { subject: 'global', intent: 'sync' }

  it('S1 a part of a round has at most 1,000 changes, and the position moves in the last part', () => {
    const changes = Array.from({ length: 2500 }, (_, index) => put('global', 'Policy', `p${index}`))
    const parts = partsOf(changes, [position], why)
    expect(parts.map((part) => part.changes.length)).toEqual([999, 999, 503])
    expect(parts.at(-1)?.changes.at(-1)).toBe(position)
    expect(parts.flatMap((part) => part.changes)).toEqual([...changes, position])
  })

  it('S1 a part of a round has a limit of bytes, except for a single larger row', () => {
    const changes = ['a', 'b', 'c'].map((name) => put('global', 'Policy', name, { text: 'x'.repeat(600) }))
    const parts = partsOf(changes, [position], why, { limits: { changesMax: 1000, bytesMax: 1_000 } })
    expect(parts.map((part) => part.changes.length)).toEqual([1, 1, 2])
  })

  it('Y4 every part of a round checks the epoch, also the last one', () => {
    const check = { op: 'check', key: keyOf('global', 'SyncEpoch', 'west'), expect: { revision: 3 } } as const
    const changes = Array.from({ length: 2500 }, (_, index) => put('global', 'Policy', `p${index}`))
    const parts = partsOf(changes, [position], why, { guards: [check] })
    expect(parts.map((part) => [part.changes.length, part.changes[0] === check])).toEqual([
      [999, true],
      [999, true],
      [506, true],
    ])
    expect(partsOf([], [position], why, { guards: [check] })[0]?.changes).toEqual([check, position])
  })

  it('S1 a round without rows is one part with the position', () => {
    expect(partsOf([], [position], why)).toEqual([{ ...why, changes: [position] }])
  })
})
