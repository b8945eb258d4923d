import { createTokenWatch } from '@zonemesh/plane/tokens/watch.ts'
import { err, ok } from '@zonemesh/shared/base/base.ts'
import { silentLog } from '@zonemesh/shared/env/log.ts'
import { expect, test } from 'vitest'
import { createScene, key, startMs } from './scene.ts'

/** A scene with a watch of its tokens. */
function watchedScene() {
  const scene = createScene()
  const { store, tokens, clock } = scene
  return { ...scene, watch: createTokenWatch({ store, tokens, clock, log: silentLog }) }
}

/** A callback for a watch, and a promise of the reason that it receives. */
function ending() {
  const { promise, resolve } = Promise.withResolvers<string>()
  return { promise, end: resolve }
}

test('V4 a stream ends within 2 s of the revocation of its token, regardless of the writer, and no other stream ends', async () => {
  const { clock, issue, write, watch } = watchedScene()
  const [a, b] = [await issue('zone'), await issue('zone')]
  const held = { purpose: 'zone', mesh: '', endsOnExpiry: true } as const
  const reasons: string[] = []
  const { promise, end } = ending()
  using _b = watch.hold({ ...held, token: b.token, who: 'west' }, (reason) => reasons.push(reason))
  using _a = watch.hold({ ...held, token: a.token, who: 'east' }, end)
  await write('GlobalSecret', '', 'zone-token-revocations', a.id)
  clock.advance(2_000)
  expect(await promise).toBe('the token was revoked')
  expect(watch.live().map(({ who }) => who)).toEqual(['west'])
  expect(reasons).toEqual([])
  watch.close()
})

test('V4 a token that is revoked between its check and its watch ends its stream too', async () => {
  const { issue, write, watch } = watchedScene()
  const { token, id } = await issue('zone')
  await write('GlobalSecret', '', 'zone-token-revocations', id)
  const { promise, end } = ending()
  using _held = watch.hold({ purpose: 'zone', mesh: '', token, who: 'east', endsOnExpiry: true }, end)
  expect(await promise).toBe('the token was revoked')
  watch.close()
})

test('V5 the expiry of a token ends a session of a zone but no stream of a proxy, which ends only by revocation', async () => {
  const { clock, issue, write, watch } = watchedScene()
  const [zone, proxy] = [await issue('zone', '', 10_000), await issue('dataplane', 'shop', 10_000)]
  const [ofZone, ofProxy] = [ending(), ending()]
  using _a = watch.hold({ purpose: 'zone', mesh: '', token: zone.token, who: 'east', endsOnExpiry: true }, ofZone.end)
  using _b = watch.hold(
    { purpose: 'dataplane', mesh: 'shop', token: proxy.token, who: 'web', endsOnExpiry: false },
    ofProxy.end,
  )
  clock.advance(9_000)
  await watch.wake()
  expect(watch.live()).toHaveLength(2)
  clock.advance(2_000)
  await watch.wake()
  expect(await ofZone.promise).toBe('the token has expired')
  expect(watch.live().map(({ who }) => who)).toEqual(['web'])
  await write('Secret', 'shop', 'dataplane-token-revocations-shop', proxy.id)
  await watch.wake()
  expect(await ofProxy.promise).toBe('the token was revoked')
  watch.close()
})

/** A watch over a store, which counts the verifications of each token. */
function countedScene() {
  const { clock, store, put } = createScene()
  const verified: [string, boolean | undefined][] = []
  const bad = new Map<string, string>()
  const watch = createTokenWatch({
    ...{ store, clock, log: silentLog },
    tokens: {
      async verify(_purpose, _mesh, token, options) {
        verified.push([token, options?.evenExpired])
        const reason = bad.get(token)
        return reason === undefined ? ok({}) : err(reason)
      },
    },
  })
  const ends: string[] = []
  const hold = (token: string, endsOnExpiry = true) =>
    watch.hold({ purpose: 'zone', mesh: '', token, who: token, endsOnExpiry }, (reason) =>
      ends.push(`${token}: ${reason}`),
    )
  return { clock, store, put, verified, bad, watch, ends, hold }
}
const nextTurn = () => new Promise(setImmediate)
const expiring = (ms: number) =>
  ['x', Buffer.from(JSON.stringify({ exp: ms / 1000 })).toString('base64url'), 'x'].join('.')

test('V4 tokens in use are verified again only when a key or a revocation has changed, every 2 s', async () => {
  const { clock, put, verified, watch, hold } = countedScene()
  using _a = hold('a')
  using _b = hold('b', false)
  await nextTurn()
  expect(verified).toEqual([
    ['a', false],
    ['b', true],
  ])
  await watch.wake()
  verified.length = 0
  await watch.wake()
  expect(verified).toEqual([])
  await put(key('Timeout', 'default', 't'), {})
  await watch.wake()
  expect(verified).toEqual([])
  await put(key('TokenRevocation', '', 'zone'), { purpose: 'zone', mesh: '', ids: [] })
  clock.advance(1_999)
  await nextTurn()
  expect(verified).toEqual([])
  clock.advance(1)
  await nextTurn()
  expect(verified.map(([token]) => token)).toEqual(['a', 'b'])
  watch.close()
})

test('V4 a session whose token becomes invalid ends once, and a disposed one does not end', async () => {
  const { put, bad, watch, ends, hold, verified } = countedScene()
  const a = hold('a')
  using _b = hold('b')
  using _c = hold('c')
  await nextTurn()
  await watch.wake()
  a[Symbol.dispose]()
  for (const token of ['a', 'b']) bad.set(token, 'the token was revoked')
  await put(key('TokenKey', '', 'zone-1'), { purpose: 'zone', mesh: '', kid: '1', publicKey: 'x' })
  await watch.wake()
  await put(key('TokenKey', '', 'zone-2'), { purpose: 'zone', mesh: '', kid: '2', publicKey: 'x' })
  await watch.wake()
  expect(ends).toEqual(['b: the token was revoked'])
  watch.close()
  verified.length = 0
  await put(key('TokenKey', '', 'zone-3'), { purpose: 'zone', mesh: '', kid: '3', publicKey: 'x' })
  await watch.wake()
  expect(verified).toEqual([])
})

test('V5 the expiry of a token is checked at its time, and only for sessions that end with it', async () => {
  const { clock, watch, hold, verified } = countedScene()
  const [soon, late] = [expiring(startMs + 4_000), expiring(startMs + 60_000)]
  using _a = hold(soon)
  using _b = hold(soon, false)
  using _c = hold(late)
  using _d = hold('without a time')
  await nextTurn()
  await watch.wake()
  expect(watch.live()).toEqual([
    { purpose: 'zone', who: soon, endsAtMs: startMs + 4_000 },
    { purpose: 'zone', who: soon, endsAtMs: startMs + 4_000 },
    { purpose: 'zone', who: late, endsAtMs: startMs + 60_000 },
  ])
  verified.length = 0
  clock.advance(3_999)
  await watch.wake()
  expect(verified).toEqual([])
  clock.advance(1)
  await watch.wake()
  expect(verified.filter(([, evenExpired]) => !evenExpired).map(([token]) => token)).toContain(soon)
  expect(verified.every(([token, evenExpired]) => token === soon && evenExpired === false)).toBe(true)
  watch.close()
})
