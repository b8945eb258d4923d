import { describe, expect, it } from 'vitest'
import type { InboundDeps, InboundEvent } from '../../src/sync/log/inbound.ts'
import { at, changesIn, keyOf, listed, live, mark, receiver, replace, rows } from './receiver.ts'

describe('a replacement', () => {
  it('Y13 rows of a relayed origin win regardless of their stamps only if the peer has all rows of the origin', () => {
    for (const [reason, expected] of [
      ['diverged', true],
      ['late', true],
      ['behind', undefined],
      ['new', undefined],
    ] as const) {
      const step = receiver(at(5), { holds: false })
      step(replace(['east'], 6, reason))
      step(rows(live('east', 'Service', 'a'), live('north', 'Service', 'b')))
      step(mark(6))
      const [applied] = step(listed([]))
      const forcedOf = applied?.type === 'apply' ? applied.changes.map((one) => 'forced' in one || undefined) : []
      expect([reason, forcedOf]).toEqual([reason, [expected, undefined]])
    }
  })
})

describe('a hold', () => {
  const here = [keyOf('global', 'Policy', 'mine'), keyOf('east', 'Service', 'old')]
  /** A receiver that holds a replacement from another history. */
  function holding(overrides: Partial<InboundDeps> = {}) {
    const step = receiver(at(5), overrides)
    step(replace(['global'], 3, 'diverged'))
    step(rows(live('global', 'Policy', 'theirs')))
    step(mark(3))
    step(listed(here))
    return step
  }
  const release: InboundEvent = { type: 'released', hold: 'history:g' }

  it('Y8 one row of another origin in a held round is applied at once, whether it comes or goes', () => {
    for (const [sent, present, expected] of [
      [[live('east', 'Service', 'new')], [], ['put east/Service/default/new']],
      [[], [keyOf('east', 'Service', 'old')], ['forget east/Service/default/old']],
      [[], [], []],
    ] as const) {
      const step = receiver(at(5))
      step(replace(['global', 'east'], 3, 'diverged'))
      step(rows(...sent))
      step(mark(3))
      const effects = step(listed([keyOf('global', 'Policy', 'mine'), ...present]))
      expect(effects[0]).toMatchObject({ type: 'held', hold: { id: 'history:g' } })
      expect(changesIn(effects)).toEqual(expected)
      expect(effects).toHaveLength(expected.length > 0 ? 2 : 1)
    }
  })

  it('Y8 while rows are held, rounds of other origins are applied one after the other', () => {
    const step = holding()
    step(rows(live('east', 'Service', 'a')))
    expect(changesIn(step(mark(4)))).toEqual(['put east/Service/default/a'])
    step(rows(live('east', 'Service', 'b')))
    expect(step(mark(5))).toEqual([])
    expect(changesIn(step({ type: 'applied' }))).toEqual(['put east/Service/default/b'])
    step({ type: 'applied' })
    step(replace(['east'], 6, 'late'))
    expect(step(mark(6))).toEqual([{ type: 'list', origins: ['east'] }])
    step(rows(live('east', 'Service', 'c')))
    expect(step(mark(7))).toEqual([])
    expect(changesIn(step(listed(here)))).toEqual(['forget east/Service/default/old'])
    expect(changesIn(step({ type: 'applied' }))).toEqual(['put east/Service/default/c'])
  })

  it('Y13 while rows are held, origins whose rows are ahead of the position are stored with it, until the hold ends', () => {
    const step = holding()
    step(rows(live('east', 'Service', 'a')))
    const ahead = { position: at(5), uncovered: ['east'] }
    expect(step(mark(4))).toMatchObject([{ type: 'apply', position: undefined, uncovered: [], ahead }])
    step({ type: 'applied' })
    step(rows(live('north', 'Service', 'b')))
    expect(step(mark(5))).toMatchObject([{ ahead: { position: at(5), uncovered: ['east', 'north'] } }])
    step({ type: 'applied' })
    step(release)
    const [, applied] = step(listed(here, ['east', 'north']))
    expect(applied).toMatchObject({ type: 'apply', position: at(5) })
    expect(applied).not.toHaveProperty('ahead')
  })

  it('Y8 while rows are held, a mark without rows moves no position, and a release applies up to this mark', () => {
    const step = holding()
    expect(step(mark(4))).toEqual([])
    expect(step(release)).toEqual([{ type: 'list', origins: ['global'] }])
    expect(step(listed(here))).toMatchObject([{ type: 'held', hold: undefined }, { position: at(4) }])
  })

  it('Y8 a release during the application of other rows counts when it ends', () => {
    const step = holding()
    step(rows(live('east', 'Service', 'a')))
    step(mark(4))
    expect(step(release)).toEqual([])
    expect(step({ type: 'applied' })).toEqual([{ type: 'list', origins: ['global'] }])
  })

  it('Y8 a new replacement of the owner supersedes the held rows', () => {
    const step = holding()
    step(replace(['global'], 7, 'behind'))
    step(rows(live('global', 'Policy', 'mine')))
    expect(step(mark(7))).toEqual([{ type: 'list', origins: ['global'] }])
    const effects = step(listed(here))
    expect(effects).toMatchObject([{ type: 'held', hold: undefined }, { position: at(7) }])
    expect(changesIn(effects)).toEqual(['put global/Policy/default/mine'])
  })

  it('L7 an origin that a late replacement names while rows are held is no longer uncovered', () => {
    const step = receiver(at(5), {}, ['east', 'north'])
    step(replace(['global'], 3, 'diverged'))
    step(mark(3))
    step(listed(here))
    step(replace(['east'], 4, 'late'))
    step(mark(4))
    expect(step(listed(here))).toMatchObject([{ type: 'apply', position: undefined, uncovered: ['north'] }])
  })

  it.each([
    ['the replacement does not name the owner', ['east'], here, {}],
    ['the store has no rows', ['global'], [], {}],
    ['the receiver holds nothing', ['global'], here, { holds: false }],
  ] as const)('Y8 another history is not held if %s', (_case, origins, present, overrides) => {
    const step = receiver(at(5), overrides)
    step(replace([...origins], 3, 'diverged'))
    step(rows(live('global', 'Policy', 'theirs')))
    step(mark(3))
    expect(step(listed(present))).toMatchObject([{ type: 'apply', position: at(3) }])
  })
})
