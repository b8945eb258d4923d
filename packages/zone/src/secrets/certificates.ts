import { identitySecret } from '@zonemesh/core/emit/secrets.ts'
import type { SecretNeed, XdsResource } from '@zonemesh/core/emit/table.ts'
import {
  type GatewayCertificateSpec,
  gatewayCertificate,
  type SecretKeySpec,
  type SecretRequestSpec,
  secretKey,
  secretRequest,
} from '@zonemesh/core/kinds/internal.ts'
import type { TypedRow } from '@zonemesh/core/kinds/kind.ts'
import { parsedRows, requireSpec, specOf } from '@zonemesh/core/kinds/row.ts'
import { certificatesIn, keyIn } from '@zonemesh/plane/authority/pem.ts'
import type { Sealer } from '@zonemesh/plane/authority/seal.ts'
import { createSecretKey, keyIdOf, openSealed, type PublicKey } from '@zonemesh/plane/certificates/envelope.ts'
import { messageOf } from '@zonemesh/shared/base/base.ts'
import type { Clock } from '@zonemesh/shared/env/clock.ts'
import type { Log } from '@zonemesh/shared/env/log.ts'
import { keyText } from '@zonemesh/shared/resource/resource.ts'
import type { Store } from '@zonemesh/shared/store/store.ts'

type CertificateNeed = SecretNeed & { readonly type: 'certificate' }
type GoodSpec = Extract<GatewayCertificateSpec, { readonly sealed: string }>

interface Deps {
  readonly store: Store
  readonly zone: string
  readonly sealer: Sealer
  readonly clock: Clock
  readonly log: Log
  readonly commit: Store['commit']
}

interface Hooks {
  /** A certificate that was asked for is there, or is another one. */
  changed(): void
  /** Nothing can be shown for this contribution: its chain is left out, so that the rest of the listener is served. */
  leaveOut(source: string, hash: string): void
  letIn(source: string, hash: string): void
}

/** What a row was opened to. In memory only. */
interface Opened {
  readonly sealed: string
  readonly fingerprint: string
  readonly chain: string
  readonly key: string
  /** Limit: one for each type of key. */
  readonly resources: Map<string, XdsResource>
}

/** A secret of a listener that is not served as it was written last. */
export interface CertificateVerdict {
  /** The key text of the Secret. */
  readonly source: string
  readonly reason: string
}

/** A row that cannot be opened though it is for our key: a new key is made, but not more often than this. */
const newKeyEveryMs = 60_000

/**
 * The zone's side of listener certificates: keeps a key pair, tells its public half, and opens what is sealed for it. What
 * cannot be opened keeps nothing back: the certificate from before stands, or else its chain is left out until it is there.
 */
export function createCertificates(deps: Deps, hooks: Hooks) {
  const { store, zone, log } = deps
  const opened = new Map<string, Opened>()
  /** Rows that cannot be opened, with the contribution that is left out for it. */
  const closed = new Map<string, { readonly sealed: string; readonly hash: string; readonly reason: string }>()
  /** What is left out, by the row as it lay sealed then: one that is written again counts again. */
  const left = new Map<string, { readonly sealed: string; readonly hash: string }>()
  let rows: readonly TypedRow<GatewayCertificateSpec>[] = []
  let own: (PublicKey & { readonly privateKey: string }) | undefined
  let newKeyAtMs: number | undefined

  const keyKey = { origin: zone, kind: 'SecretKey', mesh: '', name: 'listeners' }
  const requestKey = { ...keyKey, kind: 'SecretRequest' }

  async function makeKey(why: string): Promise<PublicKey & { readonly privateKey: string }> {
    const { keyId, publicKey, privateKey } = await createSecretKey()
    const key: SecretKeySpec = { keyId, sealedKey: deps.sealer.seal(privateKey) }
    const request: SecretRequestSpec = { keyId, publicKey: { ...publicKey } }
    await deps.commit({
      changes: [
        { op: 'put', key: keyKey, labels: {}, spec: { ...key } },
        { op: 'put', key: requestKey, labels: {}, spec: { ...request } },
      ],
      subject: 'mesh-system:control-plane',
      intent: why,
    })
    return { keyId, publicKey, privateKey }
  }

  async function loadKey(): Promise<PublicKey & { readonly privateKey: string }> {
    const stored = (await store.get(keyKey))?.row
    const asked = (await store.get(requestKey))?.row
    if (!stored) return makeKey('a key for certificates of listeners')
    const { keyId, sealedKey } = requireSpec(secretKey, stored)
    const request = asked && specOf(secretRequest, asked)
    const privateKey = unsealed(sealedKey)
    if (privateKey === undefined) return makeKey('a key for certificates of listeners, as the one from before is lost')
    if (request?.keyId === keyId) return { keyId, publicKey: request.publicKey, privateKey }
    return makeKey('a key for certificates of listeners, as its public half is lost')
  }

  function unsealed(sealedKey: string): string | undefined {
    try {
      return deps.sealer.open(sealedKey)
    } catch (thrown) {
      log.warn({ reason: messageOf(thrown) }, 'the key for certificates of listeners is made anew')
      return undefined
    }
  }

  const isGood = (spec: GatewayCertificateSpec): spec is GoodSpec => 'sealed' in spec

  /** Opens one row; the reason if that cannot be. */
  async function open(
    row: TypedRow<GatewayCertificateSpec>,
    spec: GoodSpec,
    key: { keyId: string; privateKey: string },
  ): Promise<string | undefined> {
    if (keyIdOf(spec.sealed) !== key.keyId)
      return 'it is sealed for a key that this zone has no more; it waits to be sealed anew'
    try {
      const pem = await openSealed(key.privateKey, spec.sealed)
      const chain = certificatesIn(pem).join('')
      const privateKey = keyIn(pem) ?? ''
      const { sealed, fingerprint } = spec
      opened.set(keyText(row.key), { sealed, fingerprint, chain, key: privateKey, resources: new Map() })
      return undefined
    } catch (thrown) {
      return `it cannot be opened: ${messageOf(thrown)}`
    }
  }

  async function openAll(key: { keyId: string; privateKey: string }): Promise<boolean> {
    let isNew = false
    for (const row of rows) {
      const source = keyText(row.key)
      const { spec } = row
      if (!isGood(spec)) continue
      if (opened.get(source)?.sealed === spec.sealed) {
        closed.delete(source)
        continue
      }
      const reason = await open(row, spec, key)
      if (reason === undefined) {
        closed.delete(source)
        isNew = true
        continue
      }
      if (closed.get(source)?.reason !== reason) log.warn({ certificate: source }, reason)
      closed.set(source, { sealed: spec.sealed, hash: spec.fingerprint, reason })
    }
    return isNew
  }

  /** What nothing can be shown for is left out; what was left out and is there is let in. */
  function settle(): void {
    for (const [source, { hash, sealed }] of left) {
      if (closed.get(source)?.sealed === sealed && !opened.has(source)) continue
      left.delete(source)
      hooks.letIn(source, hash)
    }
    for (const [source, { hash, sealed }] of closed) {
      if (opened.has(source) || left.has(source)) continue
      left.set(source, { hash, sealed })
      hooks.leaveOut(source, hash)
    }
  }

  /** A row that is for our key and that it does not open: only another key can help. */
  async function askAnew(key: { readonly keyId: string }): Promise<void> {
    const broken = [...closed].find(([, { sealed }]) => keyIdOf(sealed) === key.keyId)
    const nowMs = deps.clock.monotonicMs()
    if (!broken || (newKeyAtMs !== undefined && nowMs - newKeyAtMs < newKeyEveryMs)) return
    newKeyAtMs = nowMs
    log.warn({ certificate: broken[0] }, 'a new key is made, and certificates of listeners are asked for anew')
    own = await makeKey('a new key for certificates of listeners, as one of them cannot be opened')
  }

  const secretOf = ({ key, spec }: TypedRow<GatewayCertificateSpec>): string =>
    keyText({ ...key, kind: 'Secret', name: spec.secret })

  return {
    /** Brings the key and what is opened in line with the rows of the store. */
    async reconcile(): Promise<void> {
      own ??= await loadKey()
      rows = parsedRows(gatewayCertificate, await store.scan({ kind: 'GatewayCertificate' })).filter(
        ({ spec }) => spec.zone === zone,
      )
      const there = new Set(rows.filter(({ spec }) => isGood(spec)).map(({ key }) => keyText(key)))
      for (const source of opened.keys()) if (!there.has(source)) opened.delete(source)
      for (const source of closed.keys()) if (!there.has(source)) closed.delete(source)
      const isNew = await openAll(own)
      settle()
      if (isNew) hooks.changed()
      await askAnew(own)
    },
    /** The secret for Envoy; undefined while it is being opened. One that cannot be opened leaves the one before it. */
    resolve(need: CertificateNeed): XdsResource | undefined {
      const { name, source, contribution } = need
      if ('pem' in source) return inlineSecret(need, source.pem)
      const one = opened.get(contribution.source)
      if (!one || (one.fingerprint !== need.fingerprint && !closed.has(contribution.source))) return undefined
      const known = one.resources.get(name)
      if (known) return known
      const contributions = new Map([[contribution.source, one.fingerprint]])
      const resource = { ...identitySecret(name, one.chain, one.key), contributions }
      one.resources.set(name, resource)
      return resource
    },
    /** Secrets that are not served as they were written last, with the reason. */
    verdicts: (): readonly CertificateVerdict[] =>
      rows.flatMap((row) => {
        const { spec } = row
        const source = secretOf(row)
        if (!isGood(spec)) return [{ source, reason: spec.problem }]
        const reason = closed.get(keyText(row.key))?.reason ?? spec.refused
        if (reason === undefined) return []
        const isServed = opened.has(keyText(row.key))
        return [{ source, reason: isServed ? `${reason}; the certificate from before is still served` : reason }]
      }),
  }
}
export type Certificates = ReturnType<typeof createCertificates>

/** What stands in the listener itself. Judged when it was written; Envoy has the last word. */
function inlineSecret({ name, contribution }: CertificateNeed, pem: string): XdsResource {
  const contributions = new Map([[contribution.source, contribution.hash]])
  return { ...identitySecret(name, certificatesIn(pem).join(''), keyIn(pem) ?? ''), contributions }
}
