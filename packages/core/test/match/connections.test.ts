import { expect, test } from 'vitest'
import { meshName } from '../../src/kinds/identities.ts'
import { chooseForRoute, connectionKind, createConnections } from '../../src/match/connections.ts'
import { timeout } from '../../src/policies/timeout/timeout.ts'
import { createUnits } from '../../src/view/units.ts'
import { createView } from '../../src/view/view.ts'
import { createScene, global } from '../compile/scene.ts'

type Tags = Record<string, string>
const web: Tags = { 'kuma.io/service': 'web' }
const api: Tags = { 'kuma.io/service': 'api' }
const any: Tags = { 'kuma.io/service': '*' }

interface Policy {
  readonly sources?: readonly Tags[]
  readonly destinations?: readonly Tags[]
  readonly createdAtMs?: number
  readonly isBad?: true
}

/** The policy for a connection from the first tag set that has one, and the problems. */
function choose(policies: Readonly<Record<string, Policy>>, { from = [web], to = api } = {}) {
  const units = createUnits()
  const view = createView(units, 'east')
  const scene = createScene()
  const selectors = (sets: readonly Tags[] = [any]) => sets.map((match) => ({ match }))
  for (const [name, { sources, destinations, createdAtMs, isBad }] of Object.entries(policies)) {
    const conf = { connectTimeout: isBad ? '9s' : '1s' }
    const version = scene.put(global('Timeout', name), {
      sources: selectors(sources),
      destinations: selectors(destinations),
      conf,
    })
    const row = version.row && { ...version.row, stamp: { ...version.row.stamp, createdAtMs: createdAtMs ?? 0 } }
    view.apply([row ? { ...version, row } : version])
  }
  const kind = connectionKind(timeout, ({ conf }) => {
    if (conf?.connectTimeout === '9s') throw new Error('cannot be applied')
  })
  const connections = createConnections(units, view, [kind])
  const root = units.root('root', () => {
    const profile = connections.profile('Timeout', meshName('default'), from.map(view.tagSet))
    return connections.chosen(profile, view.tagSet(to))
  })
  const { value, problems } = root.read()
  return { name: value?.key.split('/').at(-1), value, problems }
}

test.each<[string, Readonly<Record<string, Policy>>, string | undefined, { from?: Tags[]; to?: Tags }?]>([
  ['none, if no policy matches', { a: { sources: [api] }, b: { destinations: [web] } }, undefined],
  ['the more specific source', { a: {}, b: { sources: [web] } }, 'b'],
  ['the more specific destination', { a: {}, b: { destinations: [api] } }, 'b'],
  ['the higher sum of both', { a: { sources: [web] }, b: { sources: [web], destinations: [api] }, c: {} }, 'b'],
  ['the newest of equal ones', { a: { createdAtMs: 1 }, b: { createdAtMs: 2 }, c: { createdAtMs: 0 } }, 'b'],
  ['the first by name of equal age', { b: {}, a: {}, c: {} }, 'a'],
  ['the best source of a proxy', { a: { sources: [web] }, b: { sources: [any] } }, 'a', { from: [api, web] }],
])('M3 among policies a connection gets %s', (_what, policies, expected, connection) =>
  expect(choose(policies, connection).name).toBe(expected),
)

test('M3 the rank of a policy for a proxy with several tag sets is that of its best one, in any order', () => {
  const v1 = { ...web, version: 'v1' }
  // The policy "a" has two exact tags for the second set, and only one for the first set, less than "b" in total.
  const policies = { a: { sources: [web, v1] }, b: { sources: [web], destinations: [api] } }
  for (const from of [
    [web, v1],
    [v1, web],
  ])
    expect(choose(policies, { from }).name).toBe('a')
  expect(choose(policies, { from: [web] }).name).toBe('b')
})

test('GW31 a policy that cannot be applied is ignored and reported', () => {
  const { name, problems } = choose({ a: {}, b: { sources: [web], isBad: true } })
  expect(name).toBe('a')
  expect(problems).toEqual([{ source: 'global/Timeout/default/b', reason: 'cannot be applied' }])
})

test('GW31 a policy applies to any service if one of its destinations is "*"', () => {
  expect(choose({ a: { destinations: [api] } }).value?.anyDestination).toBe(false)
  expect(choose({ a: { destinations: [web, any] } }).value?.anyDestination).toBe(true)
})

test.each([
  [
    'the oldest policy for any service',
    [
      ['a', 1, false],
      ['b', 3, true],
      ['c', 2, true],
    ],
    'c',
  ],
  [
    'the only policy for any service, although another one is older',
    [
      ['a', 1, false],
      ['b', 2, true],
    ],
    'b',
  ],
  [
    'otherwise the oldest policy',
    [
      ['a', 2, false],
      ['b', 1, false],
    ],
    'b',
  ],
  [
    'of equal age the first by name',
    [
      ['b', 1, false],
      ['a', 1, false],
    ],
    'a',
  ],
  ['none without policies', [], undefined],
] as const)('GW31 a route to several services gets %s', (_what, given, expected) => {
  const chosen = given.map(([key, createdAtMs, anyDestination]) => ({ key, createdAtMs, anyDestination }))
  expect(chooseForRoute(chosen)?.key).toBe(expected)
})
