import { createAnnouncements } from '@zonemesh/core/edge/announcements.ts'
import { type AddressBook, createAddressBook } from '@zonemesh/core/names/address-book.ts'
import { createPlacement } from '@zonemesh/plane/api/placement.ts'
import { openFolderKeys } from '@zonemesh/plane/authority/folder-keys.ts'
import { sealStoredInlineKeys } from '@zonemesh/plane/authority/inline-keys.ts'
import type { Sealer } from '@zonemesh/plane/authority/seal.ts'
import type { ServerTls } from '@zonemesh/plane/authority/server-tls.ts'
import { requireKnownStore } from '@zonemesh/plane/identity-file.ts'
import { type Closers, type Env, instanceName, openLeadership, openStore } from '@zonemesh/plane/lifecycle.ts'
import { createKeySource } from '@zonemesh/plane/tokens/keys.ts'
import { createTokens, type Tokens } from '@zonemesh/plane/tokens/tokens.ts'
import { createTokenWatch, type TokenWatch } from '@zonemesh/plane/tokens/watch.ts'
import { messageOf } from '@zonemesh/shared/base/base.ts'
import { repeat } from '@zonemesh/shared/env/clock.ts'
import type { Leadership } from '@zonemesh/shared/leader/election.ts'
import type { RedisLink } from '@zonemesh/shared/redis/link.ts'
import { globalOrigin } from '@zonemesh/shared/resource/resource.ts'
import type { Store } from '@zonemesh/shared/store/store.ts'
import { positionKind } from '@zonemesh/shared/sync/log/rounds.ts'
import { type DerivingStore, openDerivingStore } from './commits/deriving-store.ts'
import { createGrants, type Grants } from './names/grants.ts'
import type { ZoneConfig } from './options.ts'

export type Role = 'zone' | 'standalone'

/** The foundation of a zone: its store, its keys, and the tokens that it accepts. */
export interface ZoneBase extends Env {
  readonly zone: string
  readonly origin: string
  readonly role: Role
  readonly store: Store
  readonly commit: Store['commit']
  readonly sealer: Sealer
  readonly tls: ServerTls
  readonly adminKey: string
  readonly placement: ReturnType<typeof createPlacement>
  readonly tokens: Tokens
  readonly watch: TokenWatch
  readonly grants: Grants
  readonly leadership: Leadership
  /** The name of this process, if other processes share its store. */
  readonly replica: string | undefined
  readonly redis: RedisLink | undefined
}

/** Writes the default mesh and the zone's own row: a zone without a global owns both. */
async function ensureStandalone(store: Store, zone: string): Promise<void> {
  for (const [kind, name, spec] of [
    ['Mesh', 'default', {}],
    ['Zone', zone, { enabled: true }],
  ] as const) {
    await store.commit({
      changes: [{ op: 'put', key: { origin: zone, kind, mesh: '', name }, labels: {}, spec, expect: { absent: true } }],
      subject: 'mesh-system:control-plane',
      intent: `create the default ${kind}`,
    })
  }
}

/** Throws if the store belongs to a zone with another name: this zone would treat the rows in it as another owner's. */
async function requireOwnStore(store: Store, zone: string, dataDir: string | undefined): Promise<void> {
  const own = [...(await store.scan({ kind: positionKind })), ...(await store.scan({ kind: 'Zone' }))]
  const other = own.find(({ key }) => key.origin !== zone && key.origin !== globalOrigin)
  if (other)
    throw new Error(`expected a store of zone "${zone}" in ${dataDir}, found the store of zone "${other.key.origin}"`)
}

const expireEveryMs = 60_000

/**
 * Every commit removes the addresses whose quarantine has expired. This empty one does so when nothing else commits.
 */
async function removeExpired({ clock, log }: Env, store: Store, book: AddressBook): Promise<void> {
  if (!book.hasExpired(clock.monotonicMs())) return
  try {
    await store.commit({
      changes: [],
      subject: 'mesh-system:control-plane',
      intent: 'remove virtual addresses whose quarantine has expired',
      declared: true,
    })
  } catch (thrown) {
    log.warn(
      { reason: messageOf(thrown) },
      'cannot remove virtual addresses whose quarantine has expired; trying again',
    )
  }
}

/** Opens the store, with the rows derived in every commit, and the keys beside it. */
export async function openBase(
  env: Env,
  config: ZoneConfig,
  zone: string,
  role: Role,
  closers: Closers,
): Promise<ZoneBase> {
  const isShared = config.store !== undefined
  const instance = instanceName(env.clock)
  const { store: raw, redis } = await openStore(env, config, { owner: `zone "${zone}"`, instance })
  closers.add('Redis', () => redis?.[Symbol.asyncDispose]())
  closers.add('the store', () => raw.close())
  await requireOwnStore(raw, zone, config.store === undefined ? config.dataDir : 'its database')
  await requireKnownStore(env, raw, { dataDir: config.dataDir, role, accepts: true })
  const { sealer, tls, adminKey } = await openFolderKeys(env, raw, {
    ...config,
    origin: zone,
    shared: isShared,
  })
  const book = createAddressBook({ zone, isGranted: role !== 'standalone' })
  const derivations = [createAnnouncements({ zone }), book]
  const store: DerivingStore = await openDerivingStore(env, raw, derivations, { isShared })
  const leadership = await openLeadership(env, raw, { origin: zone, instance, isShared }, closers)
  const expiry = repeat(env.clock, expireEveryMs, () => leadership.lead.value && removeExpired(env, store, book))
  closers.add('the expiry of addresses', () => expiry[Symbol.dispose]())
  if (role === 'standalone') {
    await ensureStandalone(store, zone)
    await sealStoredInlineKeys({ store, sealer, origin: zone })
  }
  const commit: Store['commit'] = (input) => store.commit(input)
  const keys = createKeySource({
    clock: env.clock,
    store,
    sealer,
    origin: zone,
    commit,
    owns: (purpose) => role === 'standalone' || purpose === 'user',
  })
  const tokens = createTokens(env, keys)
  const watch = createTokenWatch({ ...env, store, tokens })
  closers.add('the watch over tokens', () => watch.close())
  const placement = createPlacement(config.host, [
    config.apiPort,
    config.apiTlsPort,
    config.healthPort,
    config.proxyPort,
    config.dnsPort,
  ])
  return {
    ...env,
    zone,
    origin: zone,
    role,
    store,
    commit,
    sealer,
    tls,
    adminKey,
    placement,
    tokens,
    watch,
    grants: createGrants({ ...env, store, book }),
    leadership,
    replica: isShared ? instance : undefined,
    redis,
  }
}
