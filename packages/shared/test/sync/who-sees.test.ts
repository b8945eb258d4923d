import { describe, expect, it } from 'vitest'
import { sightOfGlobal, sightOfZone } from '../../src/sync/log/who-sees.ts'
import { rules } from './mesh.ts'

const row = (origin: string, kind: string, spec: Record<string, string> = {}) => {
  const key = { origin, kind, mesh: 'default', name: 'a' }
  return { key, labels: {}, spec, stamp: { incarnation: 1, originRevision: 1, createdAtMs: 1, modifiedAtMs: 1 } }
}

describe('who sees', () => {
  const west = sightOfZone(rules, 'west')
  it.each([
    ['a policy of the global', row('global', 'Policy'), true],
    ['a policy that a zone keeps for itself', row('east', 'Policy'), false],
    ['bookkeeping of the global', row('global', 'SyncEpoch'), false],
    ['an unknown kind', row('global', 'Future'), false],
    ['a relayed row of another zone', row('east', 'Service'), true],
    ['a relayed row of its own', row('west', 'Service'), false],
    ['a row of another zone that only goes up', row('east', 'Dataplane'), false],
    ['a certificate for it', row('global', 'Certificate', { zone: 'west' }), true],
    ['a certificate for another', row('global', 'Certificate', { zone: 'east' }), false],
  ])('zone west and %s: %s', (_title, found, sees) => expect(west.sees(found)).toBe(sees))

  const global = sightOfGlobal(rules, 'west')
  it.each([
    ['a row that goes up', row('west', 'Dataplane'), true],
    ['a relayed row', row('west', 'Service'), true],
    ['a policy of the zone', row('west', 'Policy'), false],
    ['bookkeeping of the zone', row('west', 'SyncPosition'), false],
    ['a row that came from the global', row('global', 'Policy'), false],
    ['a row that was relayed to it', row('east', 'Service'), false],
  ])('the global, of zone west, and %s: %s', (_title, found, sees) => expect(global.sees(found)).toBe(sees))
})

describe('who may send', () => {
  const west = sightOfZone(rules, 'west')
  it.each([
    ['its own dataplane', row('west', 'Dataplane'), true],
    ['its own row of an unknown kind', row('west', 'Future'), true],
    ['a dataplane of another zone', row('east', 'Dataplane'), false],
    ['a row of the global', row('global', 'Policy'), false],
    ['a policy in its own name', row('west', 'Policy'), false],
    ['bookkeeping in its own name', row('west', 'SyncPosition'), false],
  ])('zone west: %s: %s', (_title, found, accepted) => expect(west.accepts(found.key)).toBe(accepted))

  const global = sightOfGlobal(rules, 'west')
  it.each([
    ['a policy', row('global', 'Policy'), true],
    ['a row of an unknown kind', row('global', 'Future'), true],
    ['a relayed row', row('east', 'Service'), true],
    ['a dataplane of another zone', row('east', 'Dataplane'), false],
    ['a row of the zone itself', row('west', 'Service'), false],
    ['a dataplane in its own name', row('global', 'Dataplane'), false],
    ['bookkeeping', row('global', 'SyncEpoch'), false],
  ])('the global to zone west: %s: %s', (_title, found, accepted) => expect(global.accepts(found.key)).toBe(accepted))
})
