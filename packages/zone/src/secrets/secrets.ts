import { authoritySecret, identitySecret } from '@zonemesh/core/emit/secrets.ts'
import type { SecretNeed, XdsResource } from '@zonemesh/core/emit/table.ts'
import type { AuthorityHolder, WorkloadIdentity } from '@zonemesh/plane/authority/holder.ts'
import { messageOf } from '@zonemesh/shared/base/base.ts'
import type { Clock } from '@zonemesh/shared/env/clock.ts'
import type { Log } from '@zonemesh/shared/env/log.ts'

interface Deps {
  readonly holder: AuthorityHolder
  readonly clock: Clock
  readonly log: Log
}

interface Entry {
  readonly resource: XdsResource
  readonly identity: WorkloadIdentity
  readonly renewal: Disposable
}

/** When a certificate is made anew: after four fifths of its life, as Kuma does. */
const renewAfter = 0.8
const retryMs = 5_000
const timerMsMax = 2 ** 31 - 1

/**
 * The secrets of this zone's proxies, made when first needed and renewed before they end. Proxies with the same
 * identities share one certificate. `changed` is called when something that was asked for is there, or is new.
 */
export function createSecrets(deps: Deps, changed: () => void) {
  const entries = new Map<string, Entry>()
  const making = new Set<string>()

  function renewAt(key: string, need: SecretNeed & { type: 'identity' }, delayMs: number): Disposable {
    return deps.clock.after(Math.min(timerMsMax, Math.max(0, delayMs)), () => void make(key, need))
  }

  async function make(key: string, need: SecretNeed & { type: 'identity' }): Promise<void> {
    if (making.has(key)) return
    making.add(key)
    try {
      const identity = await deps.holder.issue(need.mesh, need.services, need.tags)
      if (!identity) return
      entries.get(key)?.renewal[Symbol.dispose]()
      const delayMs = (identity.notAfterMs - identity.issuedAtMs) * renewAfter
      entries.set(key, {
        identity,
        resource: identitySecret(need.name, identity.certificate, identity.key),
        renewal: renewAt(key, need, delayMs),
      })
      changed()
    } catch (thrown) {
      deps.log.error(
        { mesh: need.mesh, services: need.services, reason: messageOf(thrown) },
        'cannot issue a workload certificate',
      )
      renewAt(key, need, retryMs)
    } finally {
      making.delete(key)
    }
  }

  const keyOf = (need: SecretNeed & { type: 'identity' }) => JSON.stringify([need.mesh, need.services, need.tags])

  return {
    /** The secret, or undefined while it is being made or its authority is not there yet. */
    resolve(need: SecretNeed): XdsResource | undefined {
      if (need.type === 'authority') {
        const roots = deps.holder.roots(need.mesh)
        return roots === undefined ? undefined : authoritySecret(need.name, roots)
      }
      const key = keyOf(need)
      const entry = entries.get(key)
      if (!entry) void make(key, need)
      return entry?.resource
    },
    /** What the insight of a proxy says of its certificate. */
    identityOf(need: SecretNeed): WorkloadIdentity | undefined {
      return need.type === 'identity' ? entries.get(keyOf(need))?.identity : undefined
    },
    /** The authority of a mesh is another one: all its certificates are made anew. */
    forget(mesh: string): void {
      for (const [key, entry] of entries) {
        if (JSON.parse(key)[0] !== mesh) continue
        entry.renewal[Symbol.dispose]()
        entries.delete(key)
      }
    },
    close(): void {
      for (const entry of entries.values()) entry.renewal[Symbol.dispose]()
      entries.clear()
    },
  }
}
export type Secrets = ReturnType<typeof createSecrets>
