import {
  createSigningKey,
  createTokens,
  isUnknownKey,
  type KeySource,
  publicKeyOf,
  tokenEndsAtMs,
} from '@zonemesh/plane/tokens/tokens.ts'
import { err } from '@zonemesh/shared/base/base.ts'
import { createVirtualClock } from '@zonemesh/shared/env/clock.ts'
import { StoreUnavailableError } from '@zonemesh/shared/store/errors.ts'
import { expect, test } from 'vitest'
import { claimsOf, startMs } from './scene.ts'

// Keys of 2,048 bits take long, so the tests share two.
const [keyA, keyB] = [await createSigningKey(), await createSigningKey()]

/** Tokens with one key, and a clock. */
function tokensWith(changes: Partial<KeySource> = {}) {
  const clock = createVirtualClock(startMs)
  const keys: KeySource = {
    signingKey: async () => ({ kid: '1', privateKey: keyA }),
    publicKey: async () => publicKeyOf(keyA),
    isRevoked: async () => false,
    ...changes,
  }
  return { clock, keys, tokens: createTokens({ clock }, keys) }
}

test('V17 a token is valid from 5 s before it was issued until its last second, and its time is read without its key', async () => {
  const { clock, tokens } = tokensWith()
  const token = (await tokens.issue('user', '', { Name: 'ada' }, 1_500)) ?? ''
  const startSeconds = startMs / 1000
  expect(claimsOf(token)).toEqual({
    ...{ Name: 'ada', iat: startSeconds, nbf: startSeconds - 5, exp: startSeconds + 2 },
    jti: expect.stringMatching(/^[0-9a-f-]{36}$/),
  })
  expect(tokenEndsAtMs(token)).toBe(startMs + 2_000)
  expect(tokenEndsAtMs('x')).toBeUndefined()
  expect(await tokens.verify('user', '', token)).toMatchObject({ ok: true, value: { Name: 'ada' } })
  clock.advance(1_999)
  expect(await tokens.verify('user', '', token)).toMatchObject({ ok: true })
  clock.advance(1)
  expect(await tokens.verify('user', '', token)).toEqual(err('the token has expired'))
  // A session that opened in time keeps its token, but not if the token is invalid for another reason.
  expect(await tokens.verify('user', '', token, { evenExpired: true })).toMatchObject({ ok: true })
  const past = createTokens({ clock: createVirtualClock(startMs - 6_000) }, tokensWith().keys)
  expect(await past.verify('user', '', token, { evenExpired: true })).toEqual(err('the token is not valid yet'))
})

test('V17 a token is refused with its reason: unknown or other key, revoked, other algorithm, or no token', async () => {
  const { tokens } = tokensWith()
  const token = (await tokens.issue('zone', '', {}, 60_000)) ?? ''
  const reasonOf = async (changes: Partial<KeySource>, text = token, mesh = '') => {
    const result = await tokensWith(changes).tokens.verify('zone', mesh, text)
    return result.ok ? 'accepted' : result.error
  }
  const unknown = await reasonOf({ publicKey: async () => undefined })
  expect(unknown).toBe('there is no zone token signing key with serial 1')
  expect(await reasonOf({ publicKey: async () => undefined }, token, 'shop')).toBe(`${unknown} in mesh shop`)
  expect([isUnknownKey(unknown), isUnknownKey('the token was revoked')]).toEqual([true, false])
  expect(await reasonOf({ publicKey: async () => publicKeyOf(keyB) })).toBe(
    'the token was not signed by this control plane',
  )
  const revoked: string[] = []
  const isRevoked: KeySource['isRevoked'] = async (purpose, mesh, id) => revoked.push(`${purpose}/${mesh}/${id}`) > 0
  expect(await reasonOf({ isRevoked })).toBe('the token was revoked')
  expect(revoked).toEqual([`zone//${claimsOf(token).jti}`])
  const other = Buffer.from(JSON.stringify({ alg: 'HS256', kid: '1' })).toString('base64url')
  expect(await reasonOf({}, [other, ...token.split('.').slice(1)].join('.'))).toBe(
    'the token is signed with HS256, expected RS256',
  )
  expect(await reasonOf({}, 'x')).toMatch(/^not a token: /)
  expect(await tokensWith({ signingKey: async () => undefined }).tokens.issue('zone', '', {}, 1)).toBeUndefined()
})

test('V17 a store that cannot be read refuses no token', async () => {
  const publicKey = () => Promise.reject(new StoreUnavailableError('away'))
  const { tokens } = tokensWith()
  const token = (await tokens.issue('zone', '', {}, 60_000)) ?? ''
  await expect(tokensWith({ publicKey }).tokens.verify('zone', '', token)).rejects.toThrow(StoreUnavailableError)
})
