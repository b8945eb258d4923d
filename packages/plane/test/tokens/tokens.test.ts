import { createMemorySealer } from '@zonemesh/plane/authority/seal.ts'
import { createTokenKeeper } from '@zonemesh/plane/tokens/keeper.ts'
import { createKeySource, publicName, signingKeyOf } from '@zonemesh/plane/tokens/keys.ts'
import {
  createSigningKey,
  createTokens,
  isUnknownKey,
  type KeySource,
  publicKeyOf,
  tokenEndsAtMs,
} from '@zonemesh/plane/tokens/tokens.ts'
import { createTokenWatch } from '@zonemesh/plane/tokens/watch.ts'
import { err, type JsonObject, ok } from '@zonemesh/shared/base/base.ts'
import { createVirtualClock } from '@zonemesh/shared/env/clock.ts'
import { type Log, silentLog } from '@zonemesh/shared/env/log.ts'
import { createSeededRandom } from '@zonemesh/shared/env/random.ts'
import { StoreUnavailableError } from '@zonemesh/shared/store/errors.ts'
import { createMemoryStore } from '@zonemesh/shared/store/memory.ts'
import type { Commit } from '@zonemesh/shared/store/store.ts'
import { expect, test } from 'vitest'

const startMs = Date.UTC(2026, 0, 1)
// Keys of 2,048 bits take long, so the tests share two.
const [keyA, keyB] = [await createSigningKey(), await createSigningKey()]
const key = (kind: string, mesh: string, name: string, origin = 'global') => ({ origin, kind, mesh, name })

/** A memory store with secrets, and everything that reads tokens from it. */
function scene() {
  const clock = createVirtualClock(startMs)
  const store = createMemoryStore({ clock, random: createSeededRandom(7) })
  const sealer = createMemorySealer()
  const commits: Commit[] = []
  const errors: unknown[] = []
  const commit = async (one: Commit) => {
    commits.push(one)
    return store.commit(one)
  }
  const log = { ...silentLog, error: (fields: unknown) => void errors.push(fields) } as Log
  const base = { store, sealer, origin: 'global', log, commit }
  const put = (at: ReturnType<typeof key>, spec: JsonObject) =>
    store.commit({ changes: [{ op: 'put', key: at, labels: {}, spec }], subject: 'test', intent: 'test' })
  return {
    ...{ clock, store, commits, errors, put },
    source: (owns: (purpose: string) => boolean = () => true, origin = 'global') =>
      createKeySource({ ...base, origin, owns }),
    keeper: createTokenKeeper(base),
    secret: (kind: string, mesh: string, name: string, text: string) =>
      put(key(kind, mesh, name), { sealed: sealer.seal(Buffer.from(text).toString('base64')) }),
  }
}

test.each<[string, string, string, object | undefined]>([
  ['GlobalSecret', '', 'user-token-signing-key-1', { purpose: 'user', mesh: '', kid: '1' }],
  ['GlobalSecret', '', 'zone-token-signing-key-12', { purpose: 'zone', mesh: '', kid: '12' }],
  ['Secret', 'shop', 'dataplane-token-signing-key-shop-2', { purpose: 'dataplane', mesh: 'shop', kid: '2' }],
  ['GlobalSecret', '', `user-token-signing-key-${'9'.repeat(9)}`, { purpose: 'user', mesh: '', kid: '9'.repeat(9) }],
  ['GlobalSecret', '', `user-token-signing-key-${'9'.repeat(10)}`, undefined],
  ['GlobalSecret', '', 'user-token-signing-key-0', undefined],
  ['GlobalSecret', '', 'user-token-signing-key-01', undefined],
  ['GlobalSecret', '', 'user-token-signing-key-', undefined],
  ['Secret', 'shop', 'user-token-signing-key-1', undefined],
  ['Secret', 'home', 'dataplane-token-signing-key-shop-2', undefined],
  ['GlobalSecret', '', 'dataplane-token-signing-key-shop-2', undefined],
  ['GlobalSecret', '', 'other', undefined],
])('V3 a signing key is a secret with the name of Kuma: %s %s %s', (kind, mesh, name, expected) => {
  expect(signingKeyOf(key(kind, mesh, name))).toEqual(expected)
})

test('V3 the rows of public keys and revocations are named by purpose, mesh and serial', () => {
  expect([publicName('user', '', '1'), publicName('dataplane', 'shop', '2'), publicName('zone', '')]).toEqual([
    ...['user-1', 'dataplane-shop-2', 'zone'],
  ])
})

test('V3 the key with the highest serial signs, compared as a number', async () => {
  const { source, secret } = scene()
  await secret('GlobalSecret', '', 'user-token-signing-key-9', keyA)
  await secret('GlobalSecret', '', 'user-token-signing-key-10', keyB)
  await secret('GlobalSecret', '', 'zone-token-signing-key-99', keyA)
  const keys = source()
  expect(await keys.signingKey('user', '')).toEqual({ kid: '10', privateKey: keyB })
  // A key that is replaced in its secret is used at once.
  await secret('GlobalSecret', '', 'user-token-signing-key-10', keyA)
  expect(await keys.signingKey('user', '')).toEqual({ kid: '10', privateKey: keyA })
  expect(await keys.signingKey('user', '')).toEqual({ kid: '10', privateKey: keyA })
})

test('V2 a plane creates a signing key once, also for two callers at a time, and none for a purpose of another plane', async () => {
  const { source, commits, store } = scene()
  const keys = source((purpose) => purpose !== 'user')
  expect(await keys.signingKey('user', '')).toBeUndefined()
  const [one, two] = await Promise.all([keys.signingKey('dataplane', 'shop'), keys.signingKey('dataplane', 'shop')])
  expect(one).toEqual({ kid: '1', privateKey: expect.stringContaining('PRIVATE KEY') })
  expect(two).toEqual(one)
  expect(commits.map(({ subject, intent }) => [subject, intent])).toEqual([
    ['mesh-system:control-plane', 'create the token signing key of dataplane shop'],
  ])
  const [secret] = await store.scan({ kind: 'Secret' })
  expect(secret?.key).toEqual(key('Secret', 'shop', 'dataplane-token-signing-key-shop-1'))
  const [row] = await store.scan({ kind: 'TokenKey' })
  expect(row?.spec).toEqual({
    purpose: 'dataplane',
    mesh: 'shop',
    kid: '1',
    publicKey: publicKeyOf(one?.privateKey ?? ''),
  })
})

test('V2 each mesh has its own signing key, and a failed creation is tried again by the next caller', async () => {
  const { store, secret, commits } = scene()
  await secret('Secret', 'shop', 'dataplane-token-signing-key-shop-3', keyA)
  const sealer = createMemorySealer()
  let failures = 1
  const commit = (one: Commit) => {
    commits.push(one)
    return failures-- > 0 ? Promise.reject(new Error('the disk is full')) : store.commit(one)
  }
  const keys = createKeySource({ store, sealer, origin: 'global', owns: () => true, commit })
  await expect(keys.signingKey('dataplane', 'home')).rejects.toThrow('the disk is full')
  const created = await keys.signingKey('dataplane', 'home')
  expect(await keys.signingKey('dataplane', 'home')).toEqual(created)
  expect(commits).toHaveLength(2)
  expect((await store.scan({ kind: 'Secret' })).map((row) => row.key.name)).toEqual([
    'dataplane-token-signing-key-home-1',
    'dataplane-token-signing-key-shop-3',
  ])
})

test('V2 if another process creates the signing key first, its key is used', async () => {
  const { store } = scene()
  const sealer = createMemorySealer()
  const commit = async (one: Commit) => {
    const spec = { sealed: sealer.seal(Buffer.from(keyA).toString('base64')) }
    const change = { op: 'put', key: key('GlobalSecret', '', 'zone-token-signing-key-1'), labels: {}, spec } as const
    await store.commit({ changes: [change], subject: 'other', intent: 'other' })
    return store.commit(one)
  }
  const keys = createKeySource({ store, sealer, origin: 'global', owns: () => true, commit })
  expect(await keys.signingKey('zone', '')).toEqual({ kid: '1', privateKey: keyA })
})

test('V3 a public key counts only for its purpose and mesh, from this plane or the global', async () => {
  const { source, put } = scene()
  const spec = (purpose: string, mesh: string, publicKey: string) => ({ purpose, mesh, kid: '1', publicKey })
  const keys = source(() => true, 'east')
  await put(key('TokenKey', '', 'zone-1', 'east'), spec('zone', '', 'own'))
  await put(key('TokenKey', '', 'dataplane-a-1', 'east'), spec('dataplane', 'a-1', 'of another mesh'))
  await put(key('TokenKey', '', 'user-1', 'east'), spec('zone', '', 'of another purpose'))
  expect(await keys.publicKey('zone', '', '1')).toBe('own')
  expect(await keys.publicKey('zone', '', '2')).toBeUndefined()
  expect(await keys.publicKey('dataplane', 'a', '1')).toBeUndefined()
  expect(await keys.publicKey('user', '', '1')).toBeUndefined()
})

test('V1 a token is revoked if its id is in a list of this plane or the global, or if a list cannot be parsed', async () => {
  const { source, put } = scene()
  const keys = source(() => true, 'east')
  const list = (purpose: string, ids: unknown) => ({ purpose, mesh: '', ids }) as JsonObject // ids are JSON
  await put(key('TokenRevocation', '', 'zone', 'east'), list('zone', ['a']))
  await put(key('TokenRevocation', '', 'user', 'east'), list('user', 5))
  expect(await keys.isRevoked('zone', '', 'a')).toBe(true)
  expect(await keys.isRevoked('zone', '', 'b')).toBe(false)
  expect(await keys.isRevoked('user', '', 'a')).toBe(true)
  expect(await keys.isRevoked('dataplane', 'shop', 'a')).toBe(false)
})

test('V1 lists of one mesh in a Secret and a GlobalSecret are merged, and separated by commas or white space', async () => {
  const { keeper, secret, store } = scene()
  await secret('GlobalSecret', '', 'dataplane-token-revocations-shop', ' a,b\n c ,, a')
  await secret('Secret', 'shop', 'dataplane-token-revocations-shop', 'c d')
  await secret('Secret', 'home', 'dataplane-token-revocations-shop', 'not-of-this-mesh')
  await secret('Secret', 'shop', 'zone-token-revocations', 'not-global')
  await secret('GlobalSecret', '', 'user-token-revocations', '')
  await keeper.reconcile()
  const rows = await store.scan({ kind: 'TokenRevocation' })
  expect(rows.map((row) => [row.key.name, row.spec['ids']])).toEqual([
    ['dataplane-shop', ['a', 'b', 'c', 'd']],
    ['user', []],
  ])
})

test('V2 public rows follow their secrets: they are written only if they change, and kept while a secret cannot be read', async () => {
  const { keeper, secret, store, commits, errors, put } = scene()
  await secret('GlobalSecret', '', 'zone-token-signing-key-1', keyA)
  await secret('GlobalSecret', '', 'zone-token-revocations', 'a')
  await put(key('TokenKey', '', 'zone-7'), { purpose: 'zone', mesh: '', kid: '7', publicKey: 'stale' })
  await keeper.reconcile()
  expect(commits).toMatchObject([{ subject: 'mesh-system:control-plane', declared: true }])
  const names = async () => (await store.scan({ kind: 'TokenKey' })).map((row) => row.key.name)
  expect(await names()).toEqual(['zone-1'])
  const [row] = await store.scan({ kind: 'TokenKey' })
  expect(row?.spec).toEqual({ purpose: 'zone', mesh: '', kid: '1', publicKey: publicKeyOf(keyA) })
  await keeper.reconcile()
  expect(commits).toHaveLength(1)
  // A secret that is no key: the row stays, and no row is made for a new one.
  await secret('GlobalSecret', '', 'zone-token-signing-key-1', 'no key')
  await secret('GlobalSecret', '', 'zone-token-signing-key-2', 'no key')
  await keeper.reconcile()
  expect([commits.length, errors.length, await names()]).toEqual([1, 2, ['zone-1']])
  await secret('GlobalSecret', '', 'zone-token-signing-key-1', keyB)
  await keeper.reconcile()
  expect(commits[1]?.changes).toMatchObject([
    { op: 'put', key: { name: 'zone-1' }, spec: { publicKey: publicKeyOf(keyB) } },
  ])
})

test('V2 very many public rows are written in commits of 1,000', async () => {
  const { keeper, store, commits } = scene()
  const rows = Array.from({ length: 1001 }, (_, index) => key('TokenKey', '', `zone-${index}`))
  const spec = { purpose: 'zone', mesh: '', kid: '1', publicKey: 'x' }
  for (const part of [rows.slice(0, 1000), rows.slice(1000)])
    await store.commit({
      changes: part.map((at) => ({ op: 'put', key: at, labels: {}, spec })),
      ...{ subject: 'test', intent: 'test' },
    })
  await keeper.reconcile()
  expect(commits.map(({ changes }) => changes.length)).toEqual([1000, 1])
})

const claimsOf = (token: string) => JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())

/** Tokens with one key, and a clock. */
function tokensWith(changes: Partial<KeySource> = {}) {
  const clock = createVirtualClock(startMs)
  const keys: KeySource = {
    signingKey: async () => ({ kid: '1', privateKey: keyA }),
    publicKey: async () => publicKeyOf(keyA),
    isRevoked: async () => false,
    ...changes,
  }
  return { clock, tokens: createTokens({ clock }, keys) }
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
  const past = createTokens({ clock: createVirtualClock(startMs - 6_000) }, tokensKeys())
  expect(await past.verify('user', '', token, { evenExpired: true })).toEqual(err('the token is not valid yet'))
})

const tokensKeys = (): KeySource => ({
  signingKey: async () => undefined,
  publicKey: async () => publicKeyOf(keyA),
  isRevoked: async () => false,
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

/** A watch over a store, which counts the verifications of each token. */
function watchScene() {
  const { store, put } = scene()
  const clock = createVirtualClock(startMs)
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
  const { clock, put, verified, watch, hold } = watchScene()
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
  const { put, bad, watch, ends, hold, verified } = watchScene()
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
  const { clock, watch, hold, verified } = watchScene()
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
