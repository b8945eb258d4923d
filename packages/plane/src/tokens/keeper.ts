import type { TokenRevocationSpec } from '@zonemesh/core/kinds/internal.ts'
import { canonicalJson, type JsonObject, messageOf } from '@zonemesh/shared/base/base.ts'
import type { Log } from '@zonemesh/shared/env/log.ts'
import { keyText, type ResourceKey, type Row } from '@zonemesh/shared/resource/resource.ts'
import type { Change, Commit, CommitOutcome, Store } from '@zonemesh/shared/store/store.ts'
import type { Sealer } from '../authority/seal.ts'
import { secretText } from '../authority/secret.ts'
import { publicName, signingKeyOf } from './keys.ts'
import { type Purpose, publicKeyOf } from './tokens.ts'

interface Deps {
  readonly store: Store
  readonly sealer: Sealer
  readonly origin: string
  readonly log: Log
  readonly commit: (commit: Commit) => Promise<CommitOutcome>
}

/** The kinds of secrets with token keys and revocations, and the kinds of the rows that are derived from them. */
export const secretKinds = ['GlobalSecret', 'Secret'] as const
export const publicTokenKinds = ['TokenKey', 'TokenRevocation'] as const

/** Which tokens a secret revokes, by Kuma's names. The list of a mesh may be a Secret in it or a GlobalSecret. */
function revokes({ kind, mesh, name }: ResourceKey): { readonly purpose: Purpose; readonly mesh: string } | undefined {
  const ofMesh = /^dataplane-token-revocations-(.+)$/.exec(name)?.[1]
  if (ofMesh !== undefined && (kind === 'GlobalSecret' || mesh === ofMesh))
    return { purpose: 'dataplane', mesh: ofMesh }
  if (kind !== 'GlobalSecret') return undefined
  const purpose = (['user', 'zone'] as const).find((candidate) => name === `${candidate}-token-revocations`)
  return purpose && { purpose, mesh: '' }
}

/**
 * Runs on the plane that owns signing keys and revocations as secrets. It derives the rows with which zones verify
 * tokens. If a signing key is deleted, its public key is deleted too, and all tokens that it has signed become
 * invalid.
 */
export function createTokenKeeper({ store, sealer, origin, log, commit }: Deps) {
  const publicKey = (kind: string, name: string): ResourceKey => ({ origin, kind, mesh: '', name })

  /** The row that is derived from one secret. Without a spec, the existing row stays unchanged. */
  function derive({ key }: Row, text: () => string): { readonly key: ResourceKey; spec?: JsonObject } | undefined {
    const signing = signingKeyOf(key)
    const revoked = revokes(key)
    const target = signing
      ? publicKey('TokenKey', publicName(signing.purpose, signing.mesh, signing.kid))
      : revoked && publicKey('TokenRevocation', publicName(revoked.purpose, revoked.mesh))
    if (!target) return undefined
    try {
      if (signing) return { key: target, spec: { ...signing, publicKey: publicKeyOf(text()) } }
      const ids = text()
        .split(/[\s,]+/)
        .filter((id) => id !== '')
      return { key: target, spec: { ...revoked, ids } }
    } catch (thrown) {
      log.error(
        { secret: keyText(key), reason: messageOf(thrown) },
        'cannot read a secret with a token key or revocations',
      )
      return { key: target }
    }
  }

  async function derivedRows(): Promise<Map<string, { readonly key: ResourceKey; readonly spec?: JsonObject }>> {
    const found = new Map<string, { readonly key: ResourceKey; readonly spec?: JsonObject }>()
    for (const kind of secretKinds) {
      for (const row of await store.scan({ kind, origin })) {
        const derived = derive(row, () => secretText(sealer, row))
        if (!derived) continue
        const former = found.get(keyText(derived.key))
        found.set(
          keyText(derived.key),
          former?.spec && derived.spec ? { key: derived.key, spec: merged(former.spec, derived.spec) } : derived,
        )
      }
    }
    return found
  }

  return {
    async reconcile(): Promise<void> {
      const rows = await derivedRows()
      const changes: Change[] = []
      for (const kind of publicTokenKinds) {
        for (const { key, spec } of await store.scan({ kind, origin })) {
          const next = rows.get(keyText(key))
          rows.delete(keyText(key))
          if (!next) changes.push({ op: 'delete', key })
          else if (next.spec && canonicalJson(next.spec) !== canonicalJson(spec))
            changes.push({ op: 'put', key, labels: {}, spec: next.spec })
        }
      }
      for (const { key, spec } of rows.values()) if (spec) changes.push({ op: 'put', key, labels: {}, spec })
      // A store takes at most 1,000 changes in one commit.
      for (let at = 0; at < changes.length; at += 1_000) {
        await commit({
          changes: changes.slice(at, at + 1_000),
          subject: 'mesh-system:control-plane',
          intent: 'update token keys and revocations from their secrets',
          declared: true,
        })
      }
    },
  }
}

/** Merges the lists of two secrets that revoke tokens of the same mesh. Both specs were made by `derive`. */
const merged = (a: JsonObject, b: JsonObject): JsonObject => {
  const [first, second] = [a as TokenRevocationSpec, b as TokenRevocationSpec]
  return { ...second, ids: [...new Set([...first.ids, ...second.ids])] }
}
