import { describe, expect, it } from 'vitest'
import { keyText, type ResourceKey } from '../../src/resource/resource.ts'
import {
  createInbound,
  type InboundEffect,
  type InboundEvent,
  inboundDefaults,
  inboundStep,
} from '../../src/sync/log/inbound.ts'
import type { Delivered } from '../../src/sync/log/messages.ts'
import { commitsOf, positionChange } from '../../src/sync/log/rounds.ts'
import { sightOfGlobal } from '../../src/sync/log/who-sees.ts'
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
const replace = (
  origins: string[],
  revision: number,
  reason: 'new' | 'behind' | 'diverged' = 'behind',
): InboundEvent => ({ type: 'replace', origins, position: at(revision), reason })

function receiver(
  position?: ReturnType<typeof at>,
  overrides: Partial<typeof inboundDefaults> & { refusesDiverged?: boolean } = {},
) {
  const state = createInbound('g', position)
  const deps = { ...inboundDefaults, refusesDiverged: true, sight: sightOfGlobal(rules, 'west'), ...overrides }
  return (event: InboundEvent): InboundEffect[] => inboundStep(state, event, deps)
}
const changesIn = (effects: InboundEffect[]) =>
  effects.flatMap((effect) =>
    effect.type === 'apply' ? effect.changes.map((change) => `${change.op} ${keyText(change.key)}`) : [],
  )

describe('the inbound step', () => {
  it('stages rows until their mark, credits them at once, and applies them as one round', () => {
    const step = receiver(at(1))
    expect(step(rows(live('global', 'Policy', 'a')))).toEqual([{ type: 'credit', bytes: 100 }])
    expect(step(rows(live('global', 'Policy', 'b')))).toEqual([{ type: 'credit', bytes: 100 }])
    const effects = step(mark(2))
    expect(effects).toMatchObject([{ type: 'apply', position: at(2) }])
    expect(changesIn(effects)).toEqual(['put global/Policy/default/a', 'put global/Policy/default/b'])
    expect(step({ type: 'applied' })).toEqual([{ type: 'stored', position: at(2) }])
  })

  it('L6 refuses rows that the peer may not speak for, one by one, and takes the others', () => {
    const step = receiver(at(1))
    const forged = live('west', 'Service', 'mine')
    expect(step(rows(forged, live('global', 'Policy', 'a')))[0]).toEqual({ type: 'refused', keys: [forged.key] })
    expect(changesIn(step(mark(2)))).toEqual(['put global/Policy/default/a'])
  })

  it('L7 a replacement removes what it does not bring, of the origins it names, at its end only', () => {
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
    expect(changesIn(step({ type: 'listed', keys: here }))).toEqual([
      'put global/Policy/default/kept',
      'forget global/Policy/default/gone',
    ])
  })

  it('a replacement that never ends removes nothing, and the next one starts afresh', () => {
    const step = receiver(at(1))
    step(replace(['global'], 5))
    step(rows(live('global', 'Policy', 'old')))
    step(replace(['global'], 6))
    step(rows(live('global', 'Policy', 'new')))
    step(mark(6))
    expect(changesIn(step({ type: 'listed', keys: [keyOf('global', 'Policy', 'old')] }))).toEqual([
      'put global/Policy/default/new',
      'forget global/Policy/default/old',
    ])
  })

  it('a replay of a mark changes nothing', () => {
    const step = receiver(at(5))
    step(rows(live('global', 'Policy', 'a')))
    expect(step(mark(4))).toEqual([])
    expect(step(mark(5))).toEqual([])
  })

  it('rounds that come while one is being applied become one', () => {
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

  it('a mark without rows moves the position in memory, and is written down only after a while', () => {
    const step = receiver(at(1), { driftMax: 10 })
    for (let revision = 2; revision <= 10; revision += 1)
      expect(step(mark(revision))).toEqual([{ type: 'stored', position: at(revision) }])
    expect(step(mark(11))).toMatchObject([{ type: 'apply', changes: [], position: at(11) }])
  })

  it('T18 another history may not remove anything until an operator says so', () => {
    expect(receiver(at(5))(replace(['global'], 3, 'diverged'))).toMatchObject([{ type: 'goodbye', code: 'diverged' }])
    expect(receiver(at(5), { refusesDiverged: false })(replace(['global'], 3, 'diverged'))).toEqual([])
    expect(receiver(undefined)(replace(['global'], 3, 'diverged'))).toEqual([])
  })

  it('a mark of another store ends the session', () => {
    expect(receiver(at(1))({ type: 'mark', position: at(2, 'other') })).toMatchObject([
      { type: 'goodbye', code: 'protocol' },
    ])
  })

  it('L8 a peer that never sends a mark does not fill the memory', () => {
    const step = receiver(at(1), { stagedBytesMax: 250 })
    step(rows(live('global', 'Policy', 'a'), live('global', 'Policy', 'b')))
    expect(step(rows(live('global', 'Policy', 'c')))).toMatchObject([{ type: 'goodbye', code: 'too-large' }])
  })
})

describe('the commits of a round', () => {
  const position = positionChange('west', 'global', at(7))
  const why = { subject: 'global', intent: 'sync' }

  it('are of at most 1,000 changes; only the last one marks, and the position moves in it', () => {
    const changes = Array.from({ length: 2500 }, (_, index) => put('global', 'Policy', `p${index}`))
    const commits = commitsOf(changes, position, why)
    expect(commits.map((commit) => [commit.changes.length, commit.mark])).toEqual([
      [999, false],
      [999, false],
      [503, undefined],
    ])
    expect(commits.at(-1)?.changes.at(-1)).toBe(position)
    expect(commits.flatMap((commit) => commit.changes)).toEqual([...changes, position])
  })

  it('are of at most so many bytes, but for a single larger row', () => {
    const changes = ['a', 'b', 'c'].map((name) => put('global', 'Policy', name, { text: 'x'.repeat(600) }))
    const commits = commitsOf(changes, position, why, { changesMax: 1000, bytesMax: 1_000 })
    expect(commits.map((commit) => commit.changes.length)).toEqual([1, 1, 2])
  })

  it('a round without rows is one commit with the position', () => {
    expect(commitsOf([], position, why)).toEqual([{ ...why, changes: [position] }])
  })
})
