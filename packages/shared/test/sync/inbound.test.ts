import { describe, expect, it } from 'vitest'
import type { ResourceKey } from '../../src/resource/resource.ts'
import type { InboundDeps, InboundEffect, InboundEvent } from '../../src/sync/log/inbound.ts'
import type { Delivered } from '../../src/sync/log/messages.ts'
import { sightOfZone } from '../../src/sync/log/who-sees.ts'
import { rules } from './mesh.ts'
import { at, changesIn, keyOf, listed, live, mark, receiver, replace, rows } from './receiver.ts'

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

  it('L8 a receiver stages up to 256 MiB in open, waiting and held rounds together', () => {
    const mebibytes = 1024 * 1024
    const large = (name: string, bytes: number): InboundEvent => ({
      type: 'rows',
      rows: [live('global', 'Policy', name)],
      bytes,
    })
    const step = receiver(at(1))
    step(large('applied', 100 * mebibytes))
    step(mark(2))
    step(large('waits', 100 * mebibytes))
    step(mark(3))
    expect(step(large('fits', 56 * mebibytes))).toMatchObject([{ type: 'credit' }])
    expect(step(large('excess', 1))).toMatchObject([{ type: 'goodbye', code: 'too-large' }])
    const holding = receiver(at(5), { stagedBytesMax: 300 })
    holding(replace(['global'], 3, 'diverged'))
    holding(rows(live('global', 'Policy', 'held')))
    holding(mark(3))
    holding(listed([keyOf('global', 'Policy', 'other')]))
    holding(rows(live('east', 'Service', 'a'), live('east', 'Service', 'b')))
    expect(holding(large('excess', 1))).toMatchObject([{ type: 'goodbye', code: 'too-large' }])
  })

  it('L8 the application names the bytes of its rows, of merged rounds together', () => {
    const step = receiver(at(1))
    step(rows(live('global', 'Policy', 'a')))
    expect(step(mark(2))).toMatchObject([{ type: 'apply', bytes: 100 }])
    step(rows(live('global', 'Policy', 'b')))
    step(mark(3))
    step(rows(live('global', 'Policy', 'c'), live('global', 'Policy', 'd')))
    step(mark(4))
    expect(step({ type: 'applied' })).toMatchObject([{ type: 'stored' }, { type: 'apply', bytes: 300 }])
  })

  it('Y2 a mark that repeats the mark of a waiting round changes nothing', () => {
    const step = receiver(at(1))
    step(rows(live('global', 'Policy', 'a')))
    step(mark(2))
    step(rows(live('global', 'Policy', 'b')))
    step(mark(3))
    step(rows(live('global', 'Policy', 'stale')))
    expect(step(mark(3))).toEqual([])
    expect(changesIn(step({ type: 'applied' }))).toEqual(['put global/Policy/default/b'])
  })

  it('Y25 by default a mark without rows is stored once it is 1,000 revisions ahead', () => {
    const step = receiver(at(1))
    expect(step(mark(1000))).toEqual([{ type: 'stored', position: at(1000) }])
    expect(step(mark(1001))).toMatchObject([{ type: 'apply', changes: [], position: at(1001) }])
  })

  it('F26 a deletion keeps its stamp and its declaration, and a forgotten row has neither', () => {
    const step = receiver(at(1))
    const keys = policies(3)
    const [declared, plain, forgotten] = keys.map((key, index) => removed(key, 2, index === 0))
    step(
      rows(
        ...[declared, plain, forgotten && { ...forgotten, state: 'forgotten' as const }].flatMap((row) => row ?? []),
      ),
    )
    const stamp = plain?.stamp
    expect(step(mark(2))[0]).toMatchObject({
      changes: [
        { op: 'delete', stamp, declared: true },
        { op: 'delete', stamp },
        { op: 'forget', key: keys[2] },
      ],
    })
  })

  it('Y10 a replacement forces the rows of the owner, and neither relayed rows nor rows of a round of changes', () => {
    const forcedIn = (effects: InboundEffect[]) =>
      effects.flatMap((effect) =>
        effect.type === 'apply'
          ? effect.changes.map((change) => [change.key.name, change.op === 'put' ? change.forced : undefined])
          : [],
      )
    const step = receiver(at(1))
    step(replace(['global', 'east'], 2))
    step(rows(live('global', 'Policy', 'own'), live('east', 'Service', 'relayed')))
    step(mark(2))
    expect(forcedIn(step(listed([])))).toEqual([
      ['own', true],
      ['relayed', undefined],
    ])
    step({ type: 'applied' })
    step(rows(live('global', 'Policy', 'own', 3)))
    expect(forcedIn(step(mark(3)))).toEqual([['own', undefined]])
  })

  it('F22 only rows of the owner below the given incarnation stay, and by default none', () => {
    const zone = { owner: 'west', holds: false, relays: false, sight: sightOfZone(rules, 'west') }
    const here: InboundEvent = {
      type: 'listed',
      rows: [0, 6, 7].map((incarnation) => ({ key: keyOf('west', 'Dataplane', `of-${incarnation}`), incarnation })),
      otherOrigins: [],
    }
    const replaced = (overrides: Partial<InboundDeps>) => {
      const step = receiver(undefined, { ...zone, ...overrides })
      step(replace(['west'], 5, 'new'))
      step(rows(live('west', 'Dataplane', 'a')))
      step(mark(5))
      return step(here)
    }
    const some = replaced({ formerBelow: 7 })
    expect(some).toMatchObject([{ former: 2 }])
    expect(changesIn(some)).toEqual(['put west/Dataplane/default/a', 'forget west/Dataplane/default/of-7'])
    expect(replaced({})).toMatchObject([{ former: 0, changes: { length: 4 } }])
  })
})
