import { expect, test } from 'vitest'
import type { Message, Welcome } from '../../src/sync/log/messages.ts'
import { judgeWelcome, storeOfForeign } from '../../src/sync/welcome.ts'

const welcome: Welcome = {
  ...{ protocol: 2, features: [], storeId: 'known', version: 'test', host: 'global-host' },
  ...{ zone: 'west', epoch: 1, position: undefined, formerIncarnation: 0, creditBytes: 1_000_000 },
  standing: 'new',
}
const expected = {
  ...{ zone: 'west', protocol: { min: 2, max: 3, features: [] } },
  ...{ knownStore: 'known', acceptedStore: undefined },
}
const framed = (changes: Partial<Welcome>): Message => ({ type: 'welcome', welcome: { ...welcome, ...changes } })

test.each([
  ['the known global', {}, {}],
  ['the highest version of the zone', { protocol: 3 }, {}],
  ['the first global of a zone', { storeId: 'other' }, { knownStore: undefined }],
  ['a global that an operator has accepted', { storeId: 'other' }, { acceptedStore: 'other' }],
])('Y9 Y23 a zone accepts the welcome of %s', (_name, changes, also) => {
  const judged = judgeWelcome(framed(changes), { ...expected, ...also })
  expect(judged).toEqual({ ok: true, value: { ...welcome, ...changes } })
})

test.each([
  [
    'a version below those of the zone',
    { protocol: 1 },
    'protocol',
    'expected sync protocol 2 to 3 in the welcome, found 1',
  ],
  [
    'a version above those of the zone',
    { protocol: 4 },
    'protocol',
    'expected sync protocol 2 to 3 in the welcome, found 4',
  ],
  [
    'the token of another zone',
    { zone: 'east' },
    'wrong-global',
    'expected the token of zone west, found one of zone east',
  ],
  [
    'another global',
    { storeId: 'other' },
    'wrong-global',
    'expected the global whose store is known, found one whose store is other',
  ],
] as const)(
  'Y9 Y23 a zone refuses a welcome with %s, and an operator may release it unless the versions differ',
  (_name, changes, code, reason) => {
    const judged = judgeWelcome(framed(changes), expected)
    if (judged.ok) throw new Error('expected a refusal')
    const { goodbye, hold } = judged.error
    expect(goodbye.code).toBe(code)
    expect(goodbye.reason).toContain(reason)
    expect(hold?.removals).toBe(code === 'protocol' ? undefined : 0)
    expect(hold && storeOfForeign(hold)).toBe(code === 'protocol' ? undefined : { ...welcome, ...changes }.storeId)
  },
)

test('Y23 a first frame that is not a welcome is refused', () => {
  const judged = judgeWelcome({ type: 'goodbye', goodbye: { code: 'shutdown', reason: '' } }, expected)
  expect(judged).toMatchObject({ ok: false, error: { goodbye: { code: 'protocol' } } })
})
