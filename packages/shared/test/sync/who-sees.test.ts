import { describe, expect, it } from 'vitest'
import { sightOfGlobal, sightOfZone } from '../../src/sync/log/who-sees.ts'
import { rules } from './mesh.ts'

const row = (origin: string, kind: string, spec: Record<string, string> = {}) => {
  const key = { origin, kind, mesh: 'default', name: 'a' }
  return { key, labels: {}, spec, stamp: { incarnation: 1, originRevision: 1, createdAtMs: 1, modifiedAtMs: 1 } }
}

describe('the rows that a peer receives', () => {
  const west = sightOfZone(rules, 'west')
  it.each([
    ['a policy of the global', row('global', 'Policy'), true],
    ['a policy of another zone', row('east', 'Policy'), false],
    ['bookkeeping of the global', row('global', 'SyncEpoch'), false],
    ['an unknown kind', row('global', 'Future'), false],
    ['a relayed row of another zone', row('east', 'Service'), true],
    ['its own relayed row', row('west', 'Service'), false],
    ['a row of another zone that only goes up', row('east', 'Dataplane'), false],
    ['a certificate for zone west', row('global', 'Certificate', { zone: 'west' }), true],
    ['a certificate for another zone', row('global', 'Certificate', { zone: 'east' }), false],
  ])('Y31 zone west receives %s: %s', (_title, found, sees) => expect(west.sees(found)).toBe(sees))

  const global = sightOfGlobal(rules, 'west')
  it.each([
    ['a row that goes up', row('west', 'Dataplane'), true],
    ['a relayed row', row('west', 'Service'), true],
    ['a policy of the zone', row('west', 'Policy'), false],
    ['bookkeeping of the zone', row('west', 'SyncPosition'), false],
    ['a row that came from the global', row('global', 'Policy'), false],
    ['a row that was relayed to the zone', row('east', 'Service'), false],
  ])('Y31 the global receives from zone west %s: %s', (_title, found, sees) => expect(global.sees(found)).toBe(sees))
})

describe('the rows that a peer may send', () => {
  const west = sightOfZone(rules, 'west')
  it.each([
    ['its own dataplane', row('west', 'Dataplane'), true],
    ['its own row of an unknown kind', row('west', 'Future'), true],
    ['a dataplane of another zone', row('east', 'Dataplane'), false],
    ['a row of the global', row('global', 'Policy'), false],
    ['a policy as its own row', row('west', 'Policy'), false],
    ['bookkeeping as its own row', row('west', 'SyncPosition'), false],
  ])('Y36 the global accepts from zone west %s: %s', (_title, found, accepted) =>
    expect(west.accepts(found.key)).toBe(accepted),
  )

  const global = sightOfGlobal(rules, 'west')
  it.each([
    ['a policy', row('global', 'Policy'), true],
    ['a row of an unknown kind', row('global', 'Future'), true],
    ['a relayed row', row('east', 'Service'), true],
    ['a dataplane of another zone', row('east', 'Dataplane'), false],
    ['a row of the zone itself', row('west', 'Service'), false],
    ['a dataplane as its own row', row('global', 'Dataplane'), false],
    ['bookkeeping', row('global', 'SyncEpoch'), false],
  ])('Y36 zone west accepts from the global %s: %s', (_title, found, accepted) =>
    expect(global.accepts(found.key)).toBe(accepted),
  )

  it('L7 a zone names only itself completely, and the global every other origin', () => {
    expect(['global', 'west', 'east'].map(west.maySend)).toEqual([false, true, false])
    expect(['global', 'west', 'east'].map(global.maySend)).toEqual([true, false, true])
  })
})
