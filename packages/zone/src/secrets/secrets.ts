import { authoritySecret, identitySecret } from '@zonemesh/core/emit/secrets.ts'
import type { SecretNeed, XdsResource } from '@zonemesh/core/emit/table.ts'
import type { AuthorityHolder, WorkloadIdentity } from '@zonemesh/plane/authority/holder.ts'
import { messageOf } from '@zonemesh/shared/base/base.ts'
import type { Clock } from '@zonemesh/shared/env/clock.ts'
import type { Log } from '@zonemesh/shared/env/log.ts'
import type { Certificates } from './certificates.ts'

interface Deps {
  readonly holder: AuthorityHolder
  readonly certificates: Pick<Certificates, 'resolve'>
  readonly clock: Clock
  readonly log: Log
  readonly observer?: SecretsObserver | undefined
}

export interface SecretsObserver {
  /** A workload certificate was issued. */
  issued(durationMs: number): void
  issueFailed(): void
}

interface Entry {
  readonly resource: XdsResource
  readonly identity: WorkloadIdentity
}

/** The share of its life after which a certificate is renewed, as in Kuma. */
const renewAfter = 0.8
/** The shortest time between renewals. Near the end of an authority, its certificates become ever shorter. */
const renewMinMs = 1_000
const retryMs = 5_000
const timerMsMax = 2 ** 31 - 1

/**
 * The secrets of this zone's proxies. A certificate is issued when it is first needed, and renewed before it expires.
 * Proxies with the same identities share one certificate. Calls `changed` when a requested secret is ready or has
 * changed.
 */
export function createSecrets(deps: Deps, changed: () => void) {
  const entries = new Map<string, Entry>()
  const issuing = new Set<string>()
  let closed = false
  /** The timer of the next issue of each certificate. */
  const renewals = new Map<string, Disposable>()

  function renewAt(key: string, need: SecretNeed & { type: 'identity' }, delayMs: number): void {
    renewals.get(key)?.[Symbol.dispose]()
    const renewal = deps.clock.after(Math.min(timerMsMax, Math.max(renewMinMs, delayMs)), () => void issue(key, need))
    renewals.set(key, renewal)
  }

  function drop(key: string): void {
    renewals.get(key)?.[Symbol.dispose]()
    renewals.delete(key)
    entries.delete(key)
  }

  async function issue(key: string, need: SecretNeed & { type: 'identity' }): Promise<void> {
    if (issuing.has(key) || closed) return
    issuing.add(key)
    try {
      const sinceMs = deps.clock.monotonicMs()
      const identity = await deps.holder.issue(need.mesh, need.services, need.tags)
      if (!identity || closed) return
      deps.observer?.issued(deps.clock.monotonicMs() - sinceMs)
      if (!deps.holder.isCurrent(need.mesh, identity)) {
        renewAt(key, need, 0)
        return
      }
      renewAt(key, need, (identity.notAfterMs - identity.issuedAtMs) * renewAfter)
      entries.set(key, { identity, resource: identitySecret(need.name, identity.certificate, identity.key) })
      changed()
    } catch (thrown) {
      deps.observer?.issueFailed()
      deps.log.error(
        { mesh: need.mesh, services: need.services, reason: messageOf(thrown) },
        'cannot issue a workload certificate',
      )
      if (!closed) renewAt(key, need, retryMs)
    } finally {
      issuing.delete(key)
    }
  }

  const keyOf = (need: SecretNeed & { type: 'identity' }) => JSON.stringify([need.mesh, need.services, need.tags])

  return {
    /** The secret; undefined until it is issued, or while its authority is unknown. */
    resolve(need: SecretNeed): XdsResource | undefined {
      if (need.type === 'authority') {
        const standIn = need.standIn === undefined ? undefined : deps.holder.roots(need.standIn)
        const roots = deps.holder.roots(need.mesh) ?? standIn
        return roots === undefined ? undefined : authoritySecret(need.name, roots)
      }
      if (need.type === 'authorities') {
        const roots = [...deps.holder.meshes()].sort().map((mesh) => deps.holder.roots(mesh) ?? '')
        return roots.length === 0 ? undefined : authoritySecret(need.name, [...new Set(roots)].join(''))
      }
      if (need.type === 'certificate') return deps.certificates.resolve(need)
      const key = keyOf(need)
      const entry = entries.get(key)
      if (!entry) void issue(key, need)
      return entry?.resource
    },
    /** The certificate in the insight of a proxy. */
    identityOf(need: SecretNeed): WorkloadIdentity | undefined {
      return need.type === 'identity' ? entries.get(keyOf(need))?.identity : undefined
    },
    /** The issuer of a mesh has changed: all its certificates are issued again. */
    forget(mesh: string): void {
      for (const key of [...renewals.keys(), ...entries.keys()]) if (JSON.parse(key)[0] === mesh) drop(key)
    },
    /** All certificates, with the services that each is for. */
    identities: (): readonly { readonly who: string; readonly identity: WorkloadIdentity }[] =>
      [...entries].map(([key, { identity }]) => {
        // Every key was made by `keyOf`.
        const [mesh, services] = JSON.parse(key) as [string, readonly string[]]
        return { who: `${services.join(', ')} in mesh ${mesh}`, identity }
      }),
    close(): void {
      closed = true
      for (const key of [...renewals.keys()]) drop(key)
      entries.clear()
    },
  }
}
export type Secrets = ReturnType<typeof createSecrets>
