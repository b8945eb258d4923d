import type { TokenKeySpec } from '@zonemesh/core/kinds/internal.ts'
import type { SecretSpec } from '@zonemesh/core/kinds/secret.ts'
import type { Row } from '@zonemesh/shared/resource/resource.ts'
import type { Commit, CommitOutcome, Store } from '@zonemesh/shared/store/store.ts'
import type { Sealer } from '../authority/seal.ts'
import { createSigningKey, type KeySource, type Purpose, publicKeyOf } from './tokens.ts'

interface Deps {
  readonly store: Store
  readonly sealer: Sealer
  readonly origin: string
  /** Which tokens this plane issues. The public keys of the others come by sync. */
  readonly owns: (purpose: Purpose) => boolean
  readonly commit: (commit: Commit) => Promise<CommitOutcome>
}

const serial = '1'

/** Kuma's names of the rows that hold signing keys. */
function signingKeyRow(origin: string, purpose: Purpose, mesh: string) {
  return purpose === 'dataplane'
    ? { origin, kind: 'Secret', mesh, name: `dataplane-token-signing-key-${mesh}-${serial}` }
    : { origin, kind: 'GlobalSecret', mesh: '', name: `${purpose}-token-signing-key-${serial}` }
}

/** Public keys are rows of their own, so that zones get them and nothing else. */
const publicKeyName = (purpose: Purpose, mesh: string, kid: string): string =>
  [purpose, mesh, kid].filter((part) => part !== '').join('-')

/** The data of a secret row, opened. */
export function secretData(sealer: Sealer, row: Row): string {
  // Rows of both secret kinds hold what `completeSpec` closed.
  const { sealed } = row.spec as { readonly sealed?: string } & Partial<SecretSpec>
  return sealed === undefined ? '' : sealer.open(sealed)
}

/** Keys kept as rows: made when first needed, sealed at rest. */
export function createKeySource(deps: Deps): KeySource {
  const making = new Map<string, Promise<string>>()
  const opened = new Map<string, string>()

  async function make(purpose: Purpose, mesh: string): Promise<string> {
    const key = signingKeyRow(deps.origin, purpose, mesh)
    const privateKey = await createSigningKey()
    const spec: TokenKeySpec = { purpose, mesh, kid: serial, publicKey: publicKeyOf(privateKey) }
    const outcome = await deps.commit({
      changes: [
        {
          op: 'put',
          key,
          labels: {},
          // Data of secrets is base64, as Kuma shows it.
          spec: { sealed: deps.sealer.seal(Buffer.from(privateKey).toString('base64')) },
          expect: { absent: true },
        },
        {
          op: 'put',
          key: { origin: deps.origin, kind: 'TokenKey', mesh: '', name: publicKeyName(purpose, mesh, serial) },
          labels: {},
          spec: { ...spec },
        },
      ],
      subject: 'mesh-system:control-plane',
      intent: `token signing key of ${purpose}${mesh ? ` ${mesh}` : ''}`,
    })
    if (outcome.ok) return privateKey
    return (await read(purpose, mesh)) ?? privateKey
  }

  async function read(purpose: Purpose, mesh: string): Promise<string | undefined> {
    const key = signingKeyRow(deps.origin, purpose, mesh)
    const cached = opened.get(key.name)
    if (cached) return cached
    const row = (await deps.store.get(key))?.row
    if (!row) return undefined
    const privateKey = Buffer.from(secretData(deps.sealer, row), 'base64').toString('utf8')
    opened.set(key.name, privateKey)
    return privateKey
  }

  return {
    async signingKey(purpose, mesh) {
      if (!deps.owns(purpose)) return undefined
      const existing = await read(purpose, mesh)
      if (existing) return { kid: serial, privateKey: existing }
      const slot = `${purpose}/${mesh}`
      const pending = making.get(slot) ?? make(purpose, mesh)
      making.set(slot, pending)
      try {
        return { kid: serial, privateKey: await pending }
      } finally {
        making.delete(slot)
      }
    },
    async publicKey(purpose, mesh, kid) {
      for (const origin of new Set([deps.origin, 'global'])) {
        const version = await deps.store.get({
          origin,
          kind: 'TokenKey',
          mesh: '',
          name: publicKeyName(purpose, mesh, kid),
        })
        // Rows of this kind hold what `make` wrote.
        if (version?.row) return (version.row.spec as TokenKeySpec).publicKey
      }
      return undefined
    },
  }
}
