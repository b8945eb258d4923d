import type { WorkloadIdentity } from '@zonemesh/plane/authority/holder.ts'
import { type JsonObject, toJson } from '@zonemesh/shared/base/base.ts'
import { createListeners } from '@zonemesh/shared/base/listeners.ts'
import type { Clock } from '@zonemesh/shared/env/clock.ts'
import type { Refusal } from '../xds/ads-state.ts'
import type { ProxyStream } from '../xds/contract.ts'

/** A part of the configuration that a proxy does not use, and the reason. */
export interface Verdict {
  readonly source: string
  readonly reason: string
}

interface ProxyState {
  readonly subscription: {
    readonly id: string
    readonly connectTime: string
    disconnectTime?: string
  }
  metadata: JsonObject
  acknowledged: number
  rejected: number
  lastUpdateMs: number
  readonly connectedAtMs: number
  readonly isLeased: boolean
  readonly verdicts: Map<string, Verdict>
  envoyExits: number
}

const member = (value: unknown, key: string): unknown =>
  value !== null && typeof value === 'object' ? Reflect.get(value, key) : undefined

/** The state of each proxy, without its history, shown in the shape of Kuma's insights. */
export function createProxyStatus(deps: { readonly clock: Clock; readonly instanceId: string }) {
  const states = new Map<string, ProxyState>()
  const listeners = createListeners()
  const now = () => new Date(deps.clock.wallMs()).toISOString()

  function insight(state: ProxyState, identity: WorkloadIdentity | undefined): JsonObject {
    const version = member(state.metadata, 'version')
    return toJson({
      subscriptions: [
        {
          ...state.subscription,
          controlPlaneInstanceId: deps.instanceId,
          status: {
            lastUpdateTime: new Date(state.lastUpdateMs).toISOString(),
            total: {
              responsesSent: String(state.acknowledged + state.rejected),
              responsesAcknowledged: String(state.acknowledged),
              ...(state.rejected > 0 ? { responsesRejected: String(state.rejected) } : {}),
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
      const former = states.get(proxy)
      states.set(proxy, {
        subscription: { id: stream.id, connectTime: new Date(stream.connectedAtMs).toISOString() },
        metadata: stream.metadata,
        connectedAtMs: stream.connectedAtMs,
        isLeased: stream.resource !== undefined,
        acknowledged: 0,
        rejected: 0,
        lastUpdateMs: deps.clock.wallMs(),
        // A former refusal, such as an address in use, may no longer apply.
        verdicts: new Map(),
        envoyExits: former?.envoyExits ?? 0,
      })
      listeners.call()
    },
    closed(proxy: string, streamId: string): void {
      const state = states.get(proxy)
      if (!state || state.subscription.id !== streamId) return
      state.subscription.disconnectTime = now()
      listeners.call()
    },
    forgotten(proxy: string): void {
      if (states.delete(proxy)) listeners.call()
    },
    served(proxy: string): void {
      const state = states.get(proxy)
      if (!state) return
      state.acknowledged += 1
      state.lastUpdateMs = deps.clock.wallMs()
    },
    /** A proxy refused a resource that comes from no row, or an address that is in use. Only this status shows it. */
    refused(proxy: string, { typeUrl, name, detail }: Pick<Refusal, 'typeUrl' | 'name' | 'detail'>): void {
      const state = states.get(proxy)
      if (!state) return
      state.rejected += 1
      state.lastUpdateMs = deps.clock.wallMs()
      state.verdicts.set(`${typeUrl} ${name}`, { source: `resource ${name}`, reason: detail })
      listeners.call()
    },
    /** A proxy no longer refuses a resource. */
    absolved(proxy: string, { typeUrl, name }: Pick<Refusal, 'typeUrl' | 'name'>): void {
      if (states.get(proxy)?.verdicts.delete(`${typeUrl} ${name}`)) listeners.call()
    },
    envoyExited(proxy: string): void {
      const state = states.get(proxy)
      if (state) state.envoyExits += 1
      listeners.call()
    },
    insightOf(proxy: string, identity: WorkloadIdentity | undefined): JsonObject | undefined {
      const state = states.get(proxy)
      return state && insight(state, identity)
    },
    verdicts(): readonly (Verdict & { readonly proxy: string })[] {
      return [...states].flatMap(([proxy, state]) =>
        [...state.verdicts.values()].map((verdict) => ({ ...verdict, proxy })),
      )
    },
    isConnected: (proxy: string): boolean => {
      const state = states.get(proxy)
      return state !== undefined && state.subscription.disconnectTime === undefined
    },
    /** When the newest stream of a proxy opened, and whether the proxy registered itself by it. */
    streamOf(proxy: string): { readonly sinceMs: number; readonly isLeased: boolean } | undefined {
      const state = states.get(proxy)
      return state && { sinceMs: state.connectedAtMs, isLeased: state.isLeased }
    },
    proxies: (): readonly string[] => [...states.keys()],
    onChange: listeners.add,
  }
}
export type ProxyStatus = ReturnType<typeof createProxyStatus>
