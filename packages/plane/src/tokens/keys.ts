import { type TokenKeySpec, tokenKey, tokenRevocation } from '@zonemesh/core/kinds/internal.ts'
import { parseSpec, specOf } from '@zonemesh/core/kinds/row.ts'
import type { Clock } from '@zonemesh/shared/env/clock.ts'
import { createLastKnown } from '@zonemesh/shared/env/last-known.ts'
import { keyText, type ResourceKey } from '@zonemesh/shared/resource/resource.ts'
import type { Commit, CommitOutcome, Store, Version } from '@zonemesh/shared/store/store.ts'
import type { Sealer } from '../authority/seal.ts'
import { secretText } from '../authority/secret.ts'
import { createSigningKey, type KeySource, type Purpose, publicKeyOf } from './tokens.ts'

interface Deps {
  readonly clock: Pick<Clock, 'after' | 'wallMs'>
  readonly store: Store
  readonly sealer: Sealer
  readonly origin: string
  /** Whether this plane issues tokens for a purpose. The public keys of other purposes arrive by sync. */
  readonly owns: (purpose: Purpose) => boolean
  readonly commit: (commit: Commit) => Promise<CommitOutcome>
}

const firstSerial = 1

const secretKind = (purpose: Purpose): string => (purpose === 'dataplane' ? 'Secret' : 'GlobalSecret')
const signingKeyPrefix = (purpose: Purpose, mesh: string): string =>
  purpose === 'dataplane' ? `dataplane-token-signing-key-${mesh}-` : `${purpose}-token-signing-key-`

/** The signing key in a secret, by Kuma's names; undefined for any other secret. */
export function signingKeyOf({ kind, mesh, name }: ResourceKey) {
  for (const purpose of ['user', 'zone', 'dataplane'] as const) {
    const prefix = signingKeyPrefix(purpose, mesh)
    if (kind !== secretKind(purpose) || !name.startsWith(prefix)) continue
    const serial = name.slice(prefix.length)
    if (/^[1-9]\d{0,8}$/.test(serial)) return { purpose, mesh: purpose === 'dataplane' ? mesh : '', kid: serial }
  }
  return undefined
}

/** The name of a row with a public key or revocations. These are separate rows, so that zones receive only them. */
export const publicName = (purpose: Purpose, mesh: string, kid = ''): string =>
  [purpose, mesh, kid].filter((part) => part !== '').join('-')

const silentAfterMs = 500
const rememberedMax = 1_000

/** Keeps keys in rows. A signing key is created when it is first needed, and sealed in the store. */
export function createKeySource(deps: Deps): KeySource {
  const { store } = deps
  const creating = new Map<string, Promise<string>>()
  /** Opened private keys, valid while the sealed text is the same. Limit: one per purpose and mesh. */
  const opened = new Map<string, { readonly sealed: unknown; readonly privateKey: string }>()

  /** While the database does not answer, a token that was checked before is checked with what was known then. */
  const remember = createLastKnown<Version | undefined>(deps.clock, { waitMs: silentAfterMs, keysMax: rememberedMax })
  const read = async (key: ResourceKey) => (await remember(keyText(key), () => store.get(key))).value

  async function create(purpose: Purpose, mesh: string): Promise<string> {
    const kid = String(firstSerial)
    const name = `${signingKeyPrefix(purpose, mesh)}${kid}`
    const privateKey = await createSigningKey()
    const spec: TokenKeySpec = { purpose, mesh, kid, publicKey: publicKeyOf(privateKey) }
    const outcome = await deps.commit({
      changes: [
        {
          op: 'put',
          key: { origin: deps.origin, kind: secretKind(purpose), mesh: purpose === 'dataplane' ? mesh : '', name },
          labels: {},
          spec: { sealed: deps.sealer.seal(Buffer.from(privateKey).toString('base64')) },
          expect: { absent: true },
        },
        {
          op: 'put',
          key: { origin: deps.origin, kind: 'TokenKey', mesh: '', name: publicName(purpose, mesh, kid) },
          labels: {},
          spec: { ...spec },
        },
      ],
      subject: 'mesh-system:control-plane',
      intent: `create the token signing key of ${purpose}${mesh ? ` ${mesh}` : ''}`,
    })
    if (outcome.ok) return privateKey
    return (await newest(purpose, mesh))?.privateKey ?? privateKey
  }

  /** The signing key with the highest serial. A rotation adds a secret with a higher serial. */
  async function newest(purpose: Purpose, mesh: string) {
    const { origin } = deps
    const place = { kind: secretKind(purpose), origin, mesh: purpose === 'dataplane' ? mesh : '' }
    const { revision } = await store.head()
    const rows = (await store.scan(place, { at: revision })).flatMap((row) => {
      const found = signingKeyOf(row.key)
      return found?.purpose === purpose ? [{ row, kid: found.kid }] : []
    })
    const last = rows.sort((a, b) => Number(a.kid) - Number(b.kid)).at(-1)
    if (!last) return undefined
    const { sealed } = last.row.spec
    const slot = publicName(purpose, mesh)
    const cached = opened.get(slot)
    if (cached && cached.sealed === sealed) return { kid: last.kid, privateKey: cached.privateKey }
    const privateKey = secretText(deps.sealer, last.row)
    opened.set(slot, { sealed, privateKey })
    return { kid: last.kid, privateKey }
  }

  return {
    async signingKey(purpose, mesh) {
      if (!deps.owns(purpose)) return undefined
      const existing = await newest(purpose, mesh)
      if (existing) return existing
      const slot = publicName(purpose, mesh)
      const pending = creating.get(slot) ?? create(purpose, mesh)
      creating.set(slot, pending)
      try {
        return { kid: String(firstSerial), privateKey: await pending }
      } finally {
        creating.delete(slot)
      }
    },
    async publicKey(purpose, mesh, kid) {
      for (const origin of new Set([deps.origin, 'global'])) {
        const key = { origin, kind: 'TokenKey', mesh: '', name: publicName(purpose, mesh, kid) }
        const row = (await read(key))?.row
        const spec = row && specOf(tokenKey, row)
        if (spec?.purpose === purpose && spec.mesh === mesh) return spec.publicKey
      }
      return undefined
    },
    async isRevoked(purpose, mesh, id) {
      for (const origin of new Set([deps.origin, 'global'])) {
        const key = { origin, kind: 'TokenRevocation', mesh: '', name: publicName(purpose, mesh) }
        const row = (await read(key))?.row
        const parsed = row && parseSpec(tokenRevocation, row)
        // A list that cannot be parsed may name every token.
        if (parsed && (!parsed.ok || parsed.value.ids.includes(id))) return true
      }
      return false
    },
  }
}
