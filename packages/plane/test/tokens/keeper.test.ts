import { createSigningKey, publicKeyOf } from '@zonemesh/plane/tokens/tokens.ts'
import { err } from '@zonemesh/shared/base/base.ts'
import { expect, test } from 'vitest'
import { createScene, key } from './scene.ts'

// Keys of 2,048 bits take long, so the tests share two.
const [keyA, keyB] = [await createSigningKey(), await createSigningKey()]

const revoked = err('the token was revoked')

test('V1 a token is revoked by its jti in a secret with the name that Kuma uses, and counts again when the jti is removed', async () => {
  const { tokens, issue, write, remove } = createScene()
  const [a, b] = [await issue('zone'), await issue('zone')]
  await write('GlobalSecret', '', 'zone-token-revocations', `something-else, ${a.id}\n`)
  expect(await tokens.verify('zone', '', a.token)).toEqual(revoked)
  expect(await tokens.verify('zone', '', b.token)).toMatchObject({ ok: true })
  await remove('GlobalSecret', '', 'zone-token-revocations')
  expect(await tokens.verify('zone', '', a.token)).toMatchObject({ ok: true })
})

test('V1 a revocation list for one mesh, as a Secret or a GlobalSecret, affects no other mesh or purpose', async () => {
  const { tokens, issue, write } = createScene()
  const name = 'dataplane-token-revocations-shop'
  const [a, b, other, user] = [
    await issue('dataplane', 'shop'),
    await issue('dataplane', 'shop'),
    await issue('dataplane', 'home'),
    await issue('user'),
  ]
  await write('Secret', 'shop', name, a.id)
  await write('GlobalSecret', '', name, `${b.id},${other.id},${user.id}`)
  expect(await tokens.verify('dataplane', 'shop', a.token)).toEqual(revoked)
  expect(await tokens.verify('dataplane', 'shop', b.token)).toEqual(revoked)
  expect(await tokens.verify('dataplane', 'home', other.token)).toMatchObject({ ok: true })
  expect(await tokens.verify('user', '', user.token)).toMatchObject({ ok: true })
})

test('V1 a revocation list that cannot be read revokes nothing and keeps the current key', async () => {
  const { tokens, issue, write, publicRows } = createScene()
  const { token } = await issue('zone')
  await write('GlobalSecret', '', 'zone-token-signing-key-1', 'not a key')
  expect(await publicRows()).toEqual(['TokenKey/zone-1'])
  expect(await tokens.verify('zone', '', token)).toMatchObject({ ok: true })
})

test('V1 lists of one mesh in a Secret and a GlobalSecret are merged, and separated by commas or white space', async () => {
  const { keeper, secret, store } = createScene()
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

test('V2 deleting a signing key removes its public half and invalidates every token that it signed, and the next token has a new key', async () => {
  const { tokens, issue, remove, publicRows } = createScene()
  const before = await issue('user')
  expect(await publicRows()).toEqual(['TokenKey/user-1'])
  await remove('GlobalSecret', '', 'user-token-signing-key-1')
  expect(await publicRows()).toEqual([])
  expect(await tokens.verify('user', '', before.token)).toMatchObject({ ok: false })
  const after = await issue('user')
  expect(await tokens.verify('user', '', after.token)).toMatchObject({ ok: true })
  expect(await tokens.verify('user', '', before.token)).toMatchObject({ ok: false })
})

test('V2 public rows follow their secrets: they are written only if they change, and kept while a secret cannot be read', async () => {
  const { keeper, secret, store, commits, errors, put } = createScene()
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
  const { keeper, store, commits } = createScene()
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
