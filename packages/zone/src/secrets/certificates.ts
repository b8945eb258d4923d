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
  /** A requested certificate is ready, or has changed. */
  changed(): void
  /** This contribution has no certificate: its chain is left out, so that the rest of the listener is served. */
  exclude(source: string, hash: string): void
  /** An excluded contribution has a certificate again. */
  readmit(source: string, hash: string): void
}

/** The opened content of a sealed row, in memory only. */
interface Opened {
  readonly sealed: string
  readonly fingerprint: string
  readonly chain: string
  readonly key: string
  /** By name. Limit: one for each type of key. */
  readonly resources: Map<string, XdsResource>
}

/** A secret of a listener whose newest version is not served. */
export interface CertificateVerdict {
  /** The key text of the Secret. */
  readonly source: string
  readonly reason: string
}

/**
 * If a row that is sealed for the key of this zone cannot be opened, a new key is created, but not more often than
 * this.
 */
const newKeyEveryMs = 60_000

/**
 * The zone's side of listener certificates: keeps a key pair, publishes the public key, and opens the rows that are
 * sealed for it. If a row cannot be opened, the former certificate stays in use. Without a former one, the chain is
 * left out.
 */
export function createCertificates(deps: Deps, hooks: Hooks) {
  const { store, zone, log } = deps
  const opened = new Map<string, Opened>()
  /** Rows that cannot be opened, with the hash of the contribution that needs them. */
  const closed = new Map<string, { readonly sealed: string; readonly hash: string; readonly reason: string }>()
  /** Excluded contributions, with the sealed content at that time: if the row is written again, it is judged again. */
  const excluded = new Map<string, { readonly sealed: string; readonly hash: string }>()
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
    const storedRequest = (await store.get(requestKey))?.row
    if (!stored) return makeKey('create a key for certificates of listeners')
    const { keyId, sealedKey } = requireSpec(secretKey, stored)
    const request = storedRequest && specOf(secretRequest, storedRequest)
    const privateKey = unsealed(sealedKey)
    if (privateKey === undefined) return makeKey('create a key for certificates of listeners: the former one is lost')
    if (request?.keyId === keyId) return { keyId, publicKey: request.publicKey, privateKey }
    return makeKey('create a key for certificates of listeners: the former public key is lost')
  }

  function unsealed(sealedKey: string): string | undefined {
    try {
      return deps.sealer.open(sealedKey)
    } catch (thrown) {
      log.warn({ reason: messageOf(thrown) }, 'cannot open the key for certificates of listeners; creating a new one')
      return undefined
    }
  }

  const isGood = (spec: GatewayCertificateSpec): spec is GoodSpec => 'sealed' in spec

  /** Opens one row. Returns the reason if it cannot be opened. */
  async function open(
    row: TypedRow<GatewayCertificateSpec>,
    spec: GoodSpec,
    key: { keyId: string; privateKey: string },
  ): Promise<string | undefined> {
    if (keyIdOf(spec.sealed) !== key.keyId)
      return 'it is sealed for a key that this zone no longer has; it waits to be sealed again'
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

  /** Excludes the contributions without a certificate, and readmits excluded ones whose certificate is ready. */
  function updateExclusions(): void {
    for (const [source, { hash, sealed }] of excluded) {
      if (closed.get(source)?.sealed === sealed && !opened.has(source)) continue
      excluded.delete(source)
      hooks.readmit(source, hash)
    }
    for (const [source, { hash, sealed }] of closed) {
      if (opened.has(source) || excluded.has(source)) continue
      excluded.set(source, { hash, sealed })
      hooks.exclude(source, hash)
    }
  }

  /** Creates a new key if a row that is sealed for the present key cannot be opened: only another key can help then. */
  async function replaceKey(key: { readonly keyId: string }): Promise<void> {
    const broken = [...closed].find(([, { sealed }]) => keyIdOf(sealed) === key.keyId)
    const nowMs = deps.clock.monotonicMs()
    if (!broken || (newKeyAtMs !== undefined && nowMs - newKeyAtMs < newKeyEveryMs)) return
    newKeyAtMs = nowMs
    log.warn(
      { certificate: broken[0] },
      'cannot open a certificate; creating a new key and requesting all certificates again',
    )
    own = await makeKey('create a new key for certificates of listeners: one of them cannot be opened')
  }

  const secretOf = ({ key, spec }: TypedRow<GatewayCertificateSpec>): string =>
    keyText({ ...key, kind: 'Secret', name: spec.secret })

  return {
    /** Brings the key and the opened certificates up to date with the rows of the store. */
    async reconcile(): Promise<void> {
      own ??= await loadKey()
      rows = parsedRows(gatewayCertificate, await store.scan({ kind: 'GatewayCertificate' })).filter(
        ({ spec }) => spec.zone === zone,
      )
      const there = new Set(rows.filter(({ spec }) => isGood(spec)).map(({ key }) => keyText(key)))
      for (const source of opened.keys()) if (!there.has(source)) opened.delete(source)
      for (const source of closed.keys()) if (!there.has(source)) closed.delete(source)
      const isNew = await openAll(own)
      updateExclusions()
      if (isNew) hooks.changed()
      await replaceKey(own)
    },
    /**
     * The secret for Envoy; undefined while it is being opened. If a new version cannot be opened, the former one
     * stays.
     */
    resolve(need: CertificateNeed): XdsResource | undefined {
      const { name, source, contribution } = need
      if ('pem' in source) return inlineSecret(need, source.pem)
      const certificate = opened.get(contribution.source)
      if (!certificate || (certificate.fingerprint !== need.fingerprint && !closed.has(contribution.source)))
        return undefined
      const cached = certificate.resources.get(name)
      if (cached) return cached
      const contributions = new Map([[contribution.source, certificate.fingerprint]])
      const resource = { ...identitySecret(name, certificate.chain, certificate.key), contributions }
      certificate.resources.set(name, resource)
      return resource
    },
    /** Secrets whose newest version is not served, with the reason. */
    verdicts: (): readonly CertificateVerdict[] =>
      rows.flatMap((row) => {
        const { spec } = row
        const source = secretOf(row)
        if (!isGood(spec)) return [{ source, reason: spec.problem }]
        const reason = closed.get(keyText(row.key))?.reason ?? spec.refused
        if (reason === undefined) return []
        const isServed = opened.has(keyText(row.key))
        return [{ source, reason: isServed ? `${reason}; the former certificate is still served` : reason }]
      }),
  }
}
export type Certificates = ReturnType<typeof createCertificates>

/**
 * The secret of a certificate that is inline in the listener. It was checked when it was written; Envoy checks it
 * again.
 */
function inlineSecret({ name, contribution }: CertificateNeed, pem: string): XdsResource {
  const contributions = new Map([[contribution.source, contribution.hash]])
  return { ...identitySecret(name, certificatesIn(pem).join(''), keyIn(pem) ?? ''), contributions }
}
