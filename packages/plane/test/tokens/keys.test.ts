import { createMemorySealer } from '@zonemesh/plane/authority/seal.ts'
import { createKeySource, publicName, signingKeyOf } from '@zonemesh/plane/tokens/keys.ts'
import { createSigningKey, publicKeyOf } from '@zonemesh/plane/tokens/tokens.ts'
import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import { createVirtualClock } from '@zonemesh/shared/env/clock.ts'
import type { Commit } from '@zonemesh/shared/store/store.ts'
import { expect, test } from 'vitest'
import { createScene, key } from './scene.ts'

// Keys of 2,048 bits take long, so the tests share two.
const [keyA, keyB] = [await createSigningKey(), await createSigningKey()]

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
  const { source, secret } = createScene()
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

test('V3 a key with a higher serial signs from then on, and tokens of the lower serial count until it is deleted', async () => {
  const { tokens, issue, write, remove } = createScene()
  const before = await issue('dataplane', 'shop')
  await write('Secret', 'shop', 'dataplane-token-signing-key-shop-2', await createSigningKey())
  const after = await issue('dataplane', 'shop')
  expect(JSON.parse(Buffer.from(after.token.split('.')[0] ?? '', 'base64url').toString()).kid).toBe('2')
  for (const { token } of [before, after])
    expect(await tokens.verify('dataplane', 'shop', token)).toMatchObject({ ok: true })
  await remove('Secret', 'shop', 'dataplane-token-signing-key-shop-1')
  expect(await tokens.verify('dataplane', 'shop', before.token)).toMatchObject({ ok: false })
  expect(await tokens.verify('dataplane', 'shop', after.token)).toMatchObject({ ok: true })
})

test('V2 a plane creates a signing key once, also for two callers at a time, and none for a purpose of another plane', async () => {
  const { source, commits, store } = createScene()
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
  const { store, secret, commits } = createScene()
  await secret('Secret', 'shop', 'dataplane-token-signing-key-shop-3', keyA)
  const sealer = createMemorySealer()
  let failures = 1
  const commit = (one: Commit) => {
    commits.push(one)
    return failures-- > 0 ? Promise.reject(new Error('the disk is full')) : store.commit(one)
  }
  const keys = createKeySource({
    clock: createVirtualClock(),
    store,
    sealer,
    origin: 'global',
    owns: () => true,
    commit,
  })
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
  const { store } = createScene()
  const sealer = createMemorySealer()
  const commit = async (one: Commit) => {
    const spec = { sealed: sealer.seal(Buffer.from(keyA).toString('base64')) }
    const change = { op: 'put', key: key('GlobalSecret', '', 'zone-token-signing-key-1'), labels: {}, spec } as const
    await store.commit({ changes: [change], subject: 'other', intent: 'other' })
    return store.commit(one)
  }
  const keys = createKeySource({
    clock: createVirtualClock(),
    store,
    sealer,
    origin: 'global',
    owns: () => true,
    commit,
  })
  expect(await keys.signingKey('zone', '')).toEqual({ kid: '1', privateKey: keyA })
})

test('V3 a public key counts only for its purpose and mesh, from this plane or the global', async () => {
  const { source, put } = createScene()
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

test('V3 a key of mesh "a-1" verifies no token of mesh "a", regardless of the serial in the token', async () => {
  const { tokens, issue } = createScene()
  const { token } = await issue('dataplane', 'a-1')
  const [, body, signature] = token.split('.')
  const header = Buffer.from(JSON.stringify({ alg: 'RS256', kid: '1-1', typ: 'JWT' })).toString('base64url')
  expect(await tokens.verify('dataplane', 'a', [header, body, signature].join('.'))).toEqual({
    ok: false,
    error: 'there is no dataplane token signing key with serial 1-1 in mesh a',
  })
})

test('V1 a token is revoked if its id is in a list of this plane or the global, or if a list cannot be parsed', async () => {
  const { source, put } = createScene()
  const keys = source(() => true, 'east')
  const list = (purpose: string, ids: unknown) => ({ purpose, mesh: '', ids }) as JsonObject // ids are JSON
  await put(key('TokenRevocation', '', 'zone', 'east'), list('zone', ['a']))
  await put(key('TokenRevocation', '', 'user', 'east'), list('user', 5))
  expect(await keys.isRevoked('zone', '', 'a')).toBe(true)
  expect(await keys.isRevoked('zone', '', 'b')).toBe(false)
  expect(await keys.isRevoked('user', '', 'a')).toBe(true)
  expect(await keys.isRevoked('dataplane', 'shop', 'a')).toBe(false)
})

test('TR15 while the store does not answer, a token that was checked before is still accepted, and no other', async () => {
  const { clock, store } = createScene()
  const sealer = createMemorySealer()
  const commit = (one: Commit) => store.commit(one)
  let isSilent = false
  const get: typeof store.get = (name) => (isSilent ? new Promise(() => undefined) : store.get(name))
  const keys = createKeySource({ clock, store: { ...store, get }, sealer, origin: 'global', owns: () => true, commit })
  const signed = await keys.signingKey('zone', '')
  const publicKey = await keys.publicKey('zone', '', signed?.kid ?? '')
  expect([publicKey === undefined, await keys.isRevoked('zone', '', 'a')]).toEqual([false, false])
  isSilent = true
  const answers: unknown[] = []
  const ask = (answer: Promise<unknown>) => void answer.then((value) => answers.push(value))
  ask(keys.publicKey('zone', '', signed?.kid ?? ''))
  ask(keys.isRevoked('zone', '', 'a'))
  ask(keys.publicKey('user', '', '1'))
  clock.advance(500)
  await expect.poll(() => answers.length).toBe(2)
  expect(answers).toEqual([publicKey, false])
})
