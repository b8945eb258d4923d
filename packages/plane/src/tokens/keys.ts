import { type TokenKeySpec, tokenKey, tokenRevocation } from '@zonemesh/core/kinds/internal.ts'
import { parseSpec, specOf } from '@zonemesh/core/kinds/row.ts'
import type { ResourceKey } from '@zonemesh/shared/resource/resource.ts'
import type { Commit, CommitOutcome, Store } from '@zonemesh/shared/store/store.ts'
import type { Sealer } from '../authority/seal.ts'
import { secretText } from '../authority/secret.ts'
import { createSigningKey, type KeySource, type Purpose, publicKeyOf } from './tokens.ts'

interface Deps {
  readonly store: Store
  readonly sealer: Sealer
  readonly origin: string
  /** Which tokens this plane issues. The public keys of the others come by sync. */
  readonly owns: (purpose: Purpose) => boolean
  readonly commit: (commit: Commit) => Promise<CommitOutcome>
}

const firstSerial = 1

const secretKind = (purpose: Purpose): string => (purpose === 'dataplane' ? 'Secret' : 'GlobalSecret')
const signingKeyPrefix = (purpose: Purpose, mesh: string): string =>
  purpose === 'dataplane' ? `dataplane-token-signing-key-${mesh}-` : `${purpose}-token-signing-key-`

/** Which signing key a secret holds, by Kuma's names; undefined for any other secret. */
export function signingKeyOf({ kind, mesh, name }: ResourceKey) {
  for (const purpose of ['user', 'zone', 'dataplane'] as const) {
    const prefix = signingKeyPrefix(purpose, mesh)
    if (kind !== secretKind(purpose) || !name.startsWith(prefix)) continue
    const serial = name.slice(prefix.length)
    if (/^[1-9]\d{0,8}$/.test(serial)) return { purpose, mesh: purpose === 'dataplane' ? mesh : '', kid: serial }
  }
  return undefined
}

/** Public keys and revocations are rows of their own, so that zones get them and nothing else. */
export const publicName = (purpose: Purpose, mesh: string, kid = ''): string =>
  [purpose, mesh, kid].filter((part) => part !== '').join('-')

/** Keys kept as rows: made when first needed, sealed at rest. */
export function createKeySource(deps: Deps): KeySource {
  const { store } = deps
  const making = new Map<string, Promise<string>>()
  /** Private keys by what they lie sealed as. Limit: one for each purpose and mesh. */
  const opened = new Map<string, { readonly sealed: unknown; readonly privateKey: string }>()

  async function make(purpose: Purpose, mesh: string): Promise<string> {
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
      intent: `token signing key of ${purpose}${mesh ? ` ${mesh}` : ''}`,
    })
    if (outcome.ok) return privateKey
    return (await newest(purpose, mesh))?.privateKey ?? privateKey
  }

  /** The signing key with the highest serial: a rotation is a secret with a higher one. */
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
    const known = opened.get(slot)
    if (known && known.sealed === sealed) return { kid: last.kid, privateKey: known.privateKey }
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
      const pending = making.get(slot) ?? make(purpose, mesh)
      making.set(slot, pending)
      try {
        return { kid: String(firstSerial), privateKey: await pending }
      } finally {
        making.delete(slot)
      }
    },
    async publicKey(purpose, mesh, kid) {
      for (const origin of new Set([deps.origin, 'global'])) {
        const key = { origin, kind: 'TokenKey', mesh: '', name: publicName(purpose, mesh, kid) }
        const row = (await store.get(key))?.row
        const spec = row && specOf(tokenKey, row)
        if (spec?.purpose === purpose && spec.mesh === mesh) return spec.publicKey
      }
      return undefined
    },
    async isRevoked(purpose, mesh, id) {
      for (const origin of new Set([deps.origin, 'global'])) {
        const key = { origin, kind: 'TokenRevocation', mesh: '', name: publicName(purpose, mesh) }
        const row = (await store.get(key))?.row
        const parsed = row && parseSpec(tokenRevocation, row)
        // A list that cannot be parsed may name every token.
        if (parsed && (!parsed.ok || parsed.value.ids.includes(id))) return true
      }
      return false
    },
  }
}
