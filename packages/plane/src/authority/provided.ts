import { createPrivateKey, X509Certificate } from 'node:crypto'
import type { Violation } from '@zonemesh/core/kinds/kind.ts'
import {
  type AuthoritySource,
  backendConfField,
  type MeshBackend,
  type MeshSpec,
  providedSources,
} from '@zonemesh/core/kinds/mesh-spec.ts'
import { err, messageOf, ok, type Result } from '@zonemesh/shared/base/base.ts'
import type { Store } from '@zonemesh/shared/store/store.ts'
import { certificatesIn, keyIn } from './pem.ts'
import type { Sealer } from './seal.ts'
import { secretText } from './secret.ts'
import { authorityLimits } from './x509.ts'

interface Deps {
  readonly store: Store
  readonly sealer: Sealer
  readonly origin: string
}

/** A provided authority: its own certificate first, then the certificates up to its root. */
export interface ProvidedAuthority {
  readonly certificates: readonly string[]
  readonly key: string
}

async function load({ store, sealer, origin }: Deps, mesh: string, source: AuthoritySource | undefined) {
  if (source?.inlineString !== undefined) return ok(source.inlineString)
  if (source?.inline !== undefined) return ok(Buffer.from(source.inline, 'base64').toString('utf8'))
  if (source?.secret === undefined) return err({ reason: 'has to be defined', isMissing: false })
  const row = (await store.get({ origin, kind: 'Secret', mesh, name: source.secret }))?.row
  if (row) return ok(secretText(sealer, row))
  return err({ reason: `there is no Secret "${source.secret}" in mesh "${mesh}" yet`, isMissing: true })
}

/** `isMissing`: the secret does not exist yet; the same commit may create it. */
interface Fault extends Violation {
  readonly isMissing: boolean
}

/** Reads a provided authority. The fields of its faults are relative to its configuration. */
export async function readProvided(
  deps: Deps,
  mesh: string,
  backend: MeshBackend,
): Promise<Result<ProvidedAuthority, readonly Fault[]>> {
  const sources = providedSources(backend)
  const cert = await load(deps, mesh, sources.cert)
  const key = await load(deps, mesh, sources.key)
  if (!cert.ok || !key.ok) {
    return err([
      ...(cert.ok ? [] : [{ field: 'cert', ...cert.error }]),
      ...(key.ok ? [] : [{ field: 'key', ...key.error }]),
    ])
  }
  const authority = { certificates: certificatesIn(cert.value), key: keyIn(key.value) ?? '' }
  const faults = faultsOf(authority)
  return faults.length > 0 ? err(faults.map((fault) => ({ ...fault, isMissing: false }))) : ok(authority)
}

function faultsOf({ certificates, key }: ProvidedAuthority): Violation[] {
  try {
    const [first] = certificates
    if (first === undefined)
      return [{ field: 'cert', reason: 'not a valid TLS key pair: there is no certificate in it' }]
    if (key === '') return [{ field: 'key', reason: 'not a valid TLS key pair: there is no private key in it' }]
    if (!new X509Certificate(first).checkPrivateKey(createPrivateKey(key)))
      return [{ field: 'cert', reason: 'not a valid TLS key pair: private key does not match public key' }]
    return certificates.flatMap((certificate, index) => {
      const { isAuthority, mayCertify, pathLength } = authorityLimits(certificate)
      const field = `cert[${index}]`
      return [
        ...(isAuthority
          ? []
          : [{ field, reason: "basic constraint 'CA' must be set to 'true' (see X509-SVID: 4.1. Basic Constraints)" }]),
        ...(mayCertify
          ? []
          : [{ field, reason: "key usage extension 'keyCertSign' must be set (see X509-SVID: 4.3. Key Usage)" }]),
        ...(index === 0 && pathLength === 0
          ? [{ field, reason: 'path length must not be 0: each zone needs an authority of its own below this one' }]
          : []),
      ]
    })
  } catch (thrown) {
    return [{ field: 'cert', reason: `not a valid TLS key pair: ${messageOf(thrown)}` }]
  }
}

/** The faults of the provided authorities of a mesh, which admission cannot find without the secrets. */
export async function checkProvided(deps: Deps, mesh: string, spec: MeshSpec): Promise<Fault[]> {
  if (spec.mtls?.skipValidation) return []
  const found: Fault[] = []
  for (const [index, backend] of (spec.mtls?.backends ?? []).entries()) {
    if (backend.type !== 'provided') continue
    const read = await readProvided(deps, mesh, backend)
    if (!read.ok)
      found.push(...read.error.map((fault) => ({ ...fault, field: `${backendConfField(index)}.${fault.field}` })))
  }
  return found
}
