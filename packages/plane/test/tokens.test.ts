import { createMemorySealer } from '@zonemesh/plane/authority/seal.ts'
import { createTokenKeeper } from '@zonemesh/plane/tokens/keeper.ts'
import { createKeySource } from '@zonemesh/plane/tokens/keys.ts'
import { createSigningKey, createTokens } from '@zonemesh/plane/tokens/tokens.ts'
import { createTokenWatch } from '@zonemesh/plane/tokens/watch.ts'
import { createVirtualClock } from '@zonemesh/shared/env/clock.ts'
import { silentLog } from '@zonemesh/shared/env/log.ts'
import { createSeededRandom } from '@zonemesh/shared/env/random.ts'
import { globalOrigin } from '@zonemesh/shared/resource/resource.ts'
import { createMemoryStore } from '@zonemesh/shared/store/memory.ts'
import { expect, test } from 'vitest'

const hourMs = 3_600_000

/** The tokens of a global over a memory store, and of a zone that has only the rows that travel. */
function scene() {
  const clock = createVirtualClock(Date.UTC(2026, 0, 1))
  const store = createMemoryStore({ clock, random: createSeededRandom(7) })
  const sealer = createMemorySealer()
  const base = { store, sealer, origin: globalOrigin, clock, log: silentLog, commit: store.commit }
  const tokens = createTokens({ clock }, createKeySource({ ...base, owns: () => true }))
  const keeper = createTokenKeeper(base)
  const watch = createTokenWatch({ store, tokens, clock, log: silentLog })
  const secret = (kind: string, mesh: string, name: string) => ({ origin: globalOrigin, kind, mesh, name })
  return {
    clock,
    store,
    tokens,
    keeper,
    watch,
    async write(kind: string, mesh: string, name: string, text: string) {
      const spec = { sealed: sealer.seal(Buffer.from(text).toString('base64')) }
      const changes = [{ op: 'put', key: secret(kind, mesh, name), labels: {}, spec }] as const
      await store.commit({ changes, subject: 'test', intent: 'test' })
      await keeper.reconcile()
    },
    async remove(kind: string, mesh: string, name: string) {
      await store.commit({ changes: [{ op: 'delete', key: secret(kind, mesh, name) }], subject: 't', intent: 't' })
      await keeper.reconcile()
    },
    async issue(purpose: 'user' | 'zone' | 'dataplane', mesh = '', validForMs = hourMs) {
      const token = (await tokens.issue(purpose, mesh, {}, validForMs)) ?? ''
      return { token, id: idOf(token) }
    },
    async publicRows() {
      const rows = [...(await store.scan({ kind: 'TokenKey' })), ...(await store.scan({ kind: 'TokenRevocation' }))]
      return rows.map((row) => `${row.key.kind}/${row.key.name}`).sort()
    },
  }
}

/** Our own token has a body that says what it is called. */
const idOf = (token: string): string => JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()).jti

const ended = { ok: false, error: 'the token was revoked' }

test('V1 a token is revoked by its jti in a secret with the name that Kuma uses, and counts again when the jti is removed', async () => {
  const { tokens, issue, write, remove } = scene()
  const [a, b] = [await issue('zone'), await issue('zone')]
  await write('GlobalSecret', '', 'zone-token-revocations', `something-else, ${a.id}\n`)
  expect(await tokens.verify('zone', '', a.token)).toEqual(ended)
  expect(await tokens.verify('zone', '', b.token)).toMatchObject({ ok: true })
  await remove('GlobalSecret', '', 'zone-token-revocations')
  expect(await tokens.verify('zone', '', a.token)).toMatchObject({ ok: true })
})

test('V1 a revocation list for one mesh, as a Secret or a GlobalSecret, affects no other mesh or purpose', async () => {
  const { tokens, issue, write } = scene()
  const name = 'dataplane-token-revocations-shop'
  const [a, b, other, user] = [
    await issue('dataplane', 'shop'),
    await issue('dataplane', 'shop'),
    await issue('dataplane', 'home'),
    await issue('user'),
  ]
  await write('Secret', 'shop', name, a.id)
  await write('GlobalSecret', '', name, `${b.id},${other.id},${user.id}`)
  expect(await tokens.verify('dataplane', 'shop', a.token)).toEqual(ended)
  expect(await tokens.verify('dataplane', 'shop', b.token)).toEqual(ended)
  expect(await tokens.verify('dataplane', 'home', other.token)).toMatchObject({ ok: true })
  expect(await tokens.verify('user', '', user.token)).toMatchObject({ ok: true })
})

test('V2 deleting a signing key removes its public half and invalidates every token that it signed, and the next token has a new key', async () => {
  const { tokens, issue, remove, publicRows } = scene()
  const before = await issue('user')
  expect(await publicRows()).toEqual(['TokenKey/user-1'])
  await remove('GlobalSecret', '', 'user-token-signing-key-1')
  expect(await publicRows()).toEqual([])
  expect(await tokens.verify('user', '', before.token)).toMatchObject({ ok: false })
  const after = await issue('user')
  expect(await tokens.verify('user', '', after.token)).toMatchObject({ ok: true })
  expect(await tokens.verify('user', '', before.token)).toMatchObject({ ok: false })
})

test('V3 a key with a higher serial signs from then on, and tokens of the lower serial count until it is deleted', async () => {
  const { tokens, issue, write, remove } = scene()
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

test('V3 a key of mesh "a-1" verifies no token of mesh "a", regardless of the serial in the token', async () => {
  const { tokens, issue } = scene()
  const { token } = await issue('dataplane', 'a-1')
  const [, body, signature] = token.split('.')
  const header = Buffer.from(JSON.stringify({ alg: 'RS256', kid: '1-1', typ: 'JWT' })).toString('base64url')
  expect(await tokens.verify('dataplane', 'a', [header, body, signature].join('.'))).toEqual({
    ok: false,
    error: 'there is no dataplane token signing key with serial 1-1 in mesh a',
  })
})

test('V1 a revocation list that cannot be read revokes nothing and keeps the current key', async () => {
  const { tokens, issue, write, publicRows } = scene()
  const { token } = await issue('zone')
  await write('GlobalSecret', '', 'zone-token-signing-key-1', 'not a key')
  expect(await publicRows()).toEqual(['TokenKey/zone-1'])
  expect(await tokens.verify('zone', '', token)).toMatchObject({ ok: true })
})

/** Resolves with the reason of the end; `hasEnded` says whether it has come. */
function ending() {
  const { promise, resolve } = Promise.withResolvers<string>()
  return { promise, end: resolve }
}

test('V4 a stream ends within 2 s of the revocation of its token, regardless of the writer, and no other stream ends', async () => {
  const { clock, issue, write, watch } = scene()
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
  const { issue, write, watch } = scene()
  const { token, id } = await issue('zone')
  await write('GlobalSecret', '', 'zone-token-revocations', id)
  const { promise, end } = ending()
  using _held = watch.hold({ purpose: 'zone', mesh: '', token, who: 'east', endsOnExpiry: true }, end)
  expect(await promise).toBe('the token was revoked')
  watch.close()
})

test('V5 the expiry of a token ends a session of a zone but no stream of a proxy, which ends only by revocation', async () => {
  const { clock, issue, write, watch } = scene()
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
