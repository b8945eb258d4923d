import type { WorkloadIdentity } from '@zonemesh/plane/authority/holder.ts'
import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import type { Clock } from '@zonemesh/shared/env/clock.ts'
import type { Refusal } from '../xds/ads-state.ts'
import type { ProxyStream } from '../xds/contract.ts'

/** A part of the configuration that a proxy does not run, and why. */
export interface Verdict {
  readonly source: string
  readonly reason: string
}

interface Known {
  readonly subscription: {
    readonly id: string
    readonly connectTime: string
    disconnectTime?: string
  }
  metadata: JsonObject
  acknowledged: number
  rejected: number
  lastUpdateMs: number
  readonly verdicts: Map<string, Verdict>
  envoyExits: number
}

const jsonOf = (value: unknown): JsonObject => JSON.parse(JSON.stringify(value))

const member = (value: unknown, key: string): unknown =>
  value !== null && typeof value === 'object' ? Reflect.get(value, key) : undefined

/** What this zone knows of its proxies: state, never log. Shown in Kuma's shape. */
export function createProxyStatus(deps: { readonly clock: Clock; readonly instanceId: string }) {
  const known = new Map<string, Known>()
  const listeners = new Set<() => void>()
  const changed = () => {
    for (const listener of listeners) listener()
  }
  const now = () => new Date(deps.clock.wallMs()).toISOString()

  function insight(one: Known, identity: WorkloadIdentity | undefined): JsonObject {
    const version = member(one.metadata, 'version')
    return jsonOf({
      subscriptions: [
        {
          ...one.subscription,
          controlPlaneInstanceId: deps.instanceId,
          status: {
            lastUpdateTime: new Date(one.lastUpdateMs).toISOString(),
            total: {
              responsesSent: String(one.acknowledged + one.rejected),
              responsesAcknowledged: String(one.acknowledged),
              ...(one.rejected > 0 ? { responsesRejected: String(one.rejected) } : {}),
            },
            cds: {},
            eds: {},
            lds: {},
            rds: {},
          },
          version: { kumaDp: member(version, 'kumaDp') ?? {}, envoy: member(version, 'envoy') ?? {} },
        },
      ],
      ...(identity
        ? {
            mTLS: {
              certificateExpirationTime: new Date(identity.notAfterMs).toISOString(),
              lastCertificateRegeneration: new Date(identity.issuedAtMs).toISOString(),
              certificateRegenerations: 1,
              issuedBackend: identity.backend,
              supportedBackends: [identity.backend],
            },
          }
        : {}),
    })
  }

  return {
    opened(proxy: string, stream: ProxyStream): void {
      const former = known.get(proxy)
      known.set(proxy, {
        subscription: { id: stream.id, connectTime: new Date(stream.connectedAtMs).toISOString() },
        metadata: stream.metadata,
        acknowledged: 0,
        rejected: 0,
        lastUpdateMs: deps.clock.wallMs(),
        // An address that was taken may be free now.
        verdicts: new Map(),
        envoyExits: former?.envoyExits ?? 0,
      })
      changed()
    },
    closed(proxy: string, streamId: string): void {
      const one = known.get(proxy)
      if (!one || one.subscription.id !== streamId) return
      one.subscription.disconnectTime = now()
      changed()
    },
    forgotten(proxy: string): void {
      if (known.delete(proxy)) changed()
    },
    served(proxy: string): void {
      const one = known.get(proxy)
      if (!one) return
      one.acknowledged += 1
      one.lastUpdateMs = deps.clock.wallMs()
    },
    /** A resource that cannot be traced to rows, or an address that is taken: seen here alone, until it is absolved. */
    refused(proxy: string, { typeUrl, name, detail }: Pick<Refusal, 'typeUrl' | 'name' | 'detail'>): void {
      const one = known.get(proxy)
      if (!one) return
      one.rejected += 1
      one.lastUpdateMs = deps.clock.wallMs()
      one.verdicts.set(`${typeUrl} ${name}`, { source: `resource ${name}`, reason: detail })
      changed()
    },
    /** A resource stands refused no more. */
    absolved(proxy: string, { typeUrl, name }: Pick<Refusal, 'typeUrl' | 'name'>): void {
      if (known.get(proxy)?.verdicts.delete(`${typeUrl} ${name}`)) changed()
    },
    envoyExited(proxy: string): void {
      const one = known.get(proxy)
      if (one) one.envoyExits += 1
      changed()
    },
    insightOf(proxy: string, identity: WorkloadIdentity | undefined): JsonObject | undefined {
      const one = known.get(proxy)
      return one && insight(one, identity)
    },
    verdicts(): readonly (Verdict & { readonly proxy: string })[] {
      return [...known].flatMap(([proxy, one]) => [...one.verdicts.values()].map((verdict) => ({ ...verdict, proxy })))
    },
    isConnected: (proxy: string): boolean => {
      const one = known.get(proxy)
      return one !== undefined && one.subscription.disconnectTime === undefined
    },
    proxies: (): readonly string[] => [...known.keys()],
    onChange(listener: () => void): Disposable {
      listeners.add(listener)
      return { [Symbol.dispose]: () => void listeners.delete(listener) }
    },
  }
}
export type ProxyStatus = ReturnType<typeof createProxyStatus>
