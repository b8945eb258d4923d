import { expect, test } from 'vitest'
import { misdirectedHosts, planHosts } from '../../src/gateway/hosts.ts'
import { createTagSets } from '../../src/kinds/tags.ts'

const tagSet = createTagSets()

type Bound = Readonly<Record<string, readonly string[]>>

/** Host → its groups of routes. `bound`: the routes by listener, or the same routes for all listeners. */
function planned(listeners: readonly string[], bound: Readonly<Record<string, Bound>> | Bound) {
  const plans = planHosts(
    listeners.map((hostname) => ({ hostname, tags: tagSet({ at: hostname }) })),
    ({ hostname }) => {
      const own = bound[hostname]
      const routes = own && !Array.isArray(own) ? own : bound
      return Object.entries(routes).flatMap(([key, hostnames]) =>
        Array.isArray(hostnames) ? [{ key, hostnames }] : [],
      )
    },
  )
  return Object.fromEntries(
    [...plans].map(([host, { groups }]) => [host, groups.map((group) => group.join()).join(' > ')]),
  )
}

test.each<[string, readonly string[], Readonly<Record<string, Bound>> | Bound, Readonly<Record<string, string>>]>([
  ['no routes', ['*', 'a.x'], {}, { '*': '', 'a.x': '' }],
  [
    'a route without hostnames is on every host, and last',
    ['*'],
    { any: [], named: ['a.x'] },
    { '*': 'any', 'a.x': 'named > any' },
  ],
  ['the hostname * has the same effect', ['*'], { any: ['*'], named: ['a.x'] }, { '*': 'any', 'a.x': 'named > any' }],
  [
    'the more specific hostname is first',
    ['*'],
    { z: ['a.b.x'], y: ['*.b.x'], w: ['*.x'], v: [] },
    { '*': 'v', '*.x': 'w > v', '*.b.x': 'y > w > v', 'a.b.x': 'z > y > w > v' },
  ],
  [
    'a route is in one group only',
    ['*'],
    { both: ['*.x', 'a.x'], other: ['a.x'] },
    { '*': '', '*.x': 'both', 'a.x': 'both,other' },
  ],
  ['the same hostname of several routes', ['*'], { b: ['a.x'], a: ['a.x'] }, { '*': '', 'a.x': 'a,b' }],
  ['a narrow route on a wide listener', ['*.x'], { a: ['a.x'] }, { '*.x': '', 'a.x': 'a' }],
  ['a wide route on a narrow listener', ['a.x'], { a: ['*.x'], b: [], c: ['*'] }, { 'a.x': 'a > b,c' }],
  ['no host in common', ['a.x'], { a: ['b.x'], b: ['*.a.x'], c: ['x'] }, { 'a.x': '' }],
  [
    'a wildcard is not a plain suffix, and not its own parent',
    ['*.x'],
    { a: ['telex'], b: ['x'], c: ['a.x'] },
    { '*.x': '', 'a.x': 'c' },
  ],
  [
    'a host belongs to the most specific listener, also without a route there',
    ['*', '*.x', 'a.x'],
    { '*': { far: ['a.x', 'b.x', 'c.y'] }, '*.x': { near: ['a.x', 'd.x'] }, 'a.x': {} },
    { '*': '', 'c.y': 'far', '*.x': '', 'd.x': 'near', 'a.x': '' },
  ],
  [
    'a wildcard of a wide listener ends at a narrow listener',
    ['*', '*.b.x'],
    { '*': { wide: ['*.x'], any: [] }, '*.b.x': { own: [] } },
    { '*': 'any', '*.x': 'wide > any', '*.b.x': 'own' },
  ],
])('GW9 the hosts of a port: %s', (_title, listeners, bound, expected) => {
  expect(planned(listeners, bound)).toEqual(expected)
})

test.each<[string, readonly string[], readonly string[]]>([
  ['a.x', ['a.x'], []],
  ['a.x', ['a.x', 'b.y'], ['*']],
  ['*.x', ['*.x', 'b.x', '*.c.x', 'b.y'], ['*.c.x', 'b.x', '*']],
  ['*', ['*', 'b.x', '*.c.x'], ['*.c.x', 'b.x']],
])(
  'GW26 on a connection for %s beside the listeners %j, these hosts are misdirected: %j',
  (hostname, all, expected) => {
    const listeners = all.map((one) => ({ hostname: one, tags: tagSet({}) }))
    expect(misdirectedHosts(listeners, hostname)).toEqual(expected)
  },
)

test('GW26 a route for any host covers no host of another listener', () => {
  const listeners = ['*', 'a.x'].map((hostname) => ({ hostname, tags: tagSet({}) }))
  const plans = planHosts(listeners, () => [{ key: 'r', hostnames: ['a.x', 'b.x'] }], '*')
  expect([...plans.keys()]).toEqual(['*', 'b.x'])
})
