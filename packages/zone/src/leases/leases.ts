import type { Clock } from '@zonemesh/shared/env/clock.ts'
import type { Log } from '@zonemesh/shared/env/log.ts'
import type { Lead } from '@zonemesh/shared/leader/election.ts'
import type { Change } from '@zonemesh/shared/store/store.ts'

interface Deps {
  readonly clock: Clock
  readonly log: Log
  /** The lead of this process among the replicas of the zone: only the leader decides about leases. */
  lead(): Lead | undefined
  /** Removes the row of a proxy that is gone. `guards`: what must hold, so that only the leader removes it. */
  remove(proxy: string, why: string, guards: readonly Change[]): Promise<void>
  /** Labels the rows of proxies that were lost together. Envoys then probe their endpoints. */
  markLost(proxies: readonly string[]): Promise<void>
}

export interface LeaseOptions {
  readonly leaseMs: number
  /** Above both limits, the cause is more likely the network or this zone, so no proxy is removed. */
  readonly lostShareMax: number
  readonly lostCountMax: number
}

export const defaultLeaseOptions: LeaseOptions = { leaseMs: 30_000, lostShareMax: 0.3, lostCountMax: 10 }

/** Leases that expire together are marked in one commit. */
const gatherMs = 100

/**
 * Follows which proxies are alive. A proxy that registered itself by its stream holds a lease. If it loses its stream,
 * it is suspect, and its row is removed when the lease expires. After a restart, rows without a stream hold no lease:
 * they stay until their proxies return or an operator releases them, because the silence of a control plane must never
 * remove an endpoint. If more proxies are lost at once than both limits allow, they are marked as lost instead: the
 * other Envoys probe their endpoints and send no requests to those that accept no connection. Each replica of a zone
 * follows the streams of all replicas, and the leader decides.
 */
export function createLeases(deps: Deps, options: LeaseOptions = defaultLeaseOptions) {
  const streams = new Map<string, Set<string>>()
  /** The timer of the lease of each proxy that lost its stream. */
  const suspects = new Map<string, Disposable>()

  /** Suspects whose rows are marked, or are being marked. */
  const lost = new Set<string>()
  const unmarked = new Set<string>()
  let marking: Disposable | undefined

  function markSoon(proxy: string): void {
    if (lost.has(proxy)) return
    lost.add(proxy)
    unmarked.add(proxy)
    marking ??= deps.clock.after(gatherMs, () => {
      marking = undefined
      const proxies = [...unmarked]
      unmarked.clear()
      deps.markLost(proxies).catch((thrown: unknown) => {
        deps.log.warn(
          { proxies: proxies.length, err: thrown },
          'cannot mark lost proxies; trying again after another lease',
        )
        for (const proxy of proxies) lost.delete(proxy)
      })
    })
  }

  const tooMany = () => {
    const total = streams.size + suspects.size
    return suspects.size > options.lostCountMax && suspects.size > total * options.lostShareMax
  }

  const suspect = (proxy: string, leaseMs = options.leaseMs) =>
    suspects.set(
      proxy,
      deps.clock.after(leaseMs, () => expire(proxy)),
    )

  function expire(proxy: string): void {
    const lead = deps.lead()
    // This process may become the leader later.
    if (!lead) return void suspect(proxy, options.leaseMs / 10)
    if (tooMany()) {
      deps.log.warn(
        { lost: suspects.size, live: streams.size },
        'too many proxies were lost at once: not removing any of them; other Envoys probe their endpoints',
      )
      // Without a live proxy no Envoy could probe, and the fault is more likely in this zone.
      if (streams.size > 0) markSoon(proxy)
      suspect(proxy)
      return
    }
    forget(proxy)
    deps
      .remove(proxy, 'it lost its stream and did not return within its lease', lead.guards)
      .catch((thrown: unknown) => {
        deps.log.warn(
          { proxy, err: thrown },
          'cannot remove a proxy whose lease has expired; trying again after another lease',
        )
        if (!streams.has(proxy)) suspect(proxy)
      })
  }

  function forget(proxy: string): void {
    suspects.get(proxy)?.[Symbol.dispose]()
    suspects.delete(proxy)
    lost.delete(proxy)
    unmarked.delete(proxy)
  }

  return {
    opened(proxy: string, stream: string): void {
      forget(proxy)
      streams.set(proxy, (streams.get(proxy) ?? new Set()).add(stream))
    },
    /** `leased`: the proxy registered itself by this stream. The row of any other proxy stays. */
    closed(proxy: string, stream: string, leased: boolean): void {
      const open = streams.get(proxy)
      open?.delete(stream)
      if (!open || open.size > 0) return
      streams.delete(proxy)
      if (!leased) return
      suspect(proxy)
    },
    /** The proxy received SIGTERM: its row is removed at once. */
    async draining(proxy: string): Promise<void> {
      forget(proxy)
      await deps.remove(proxy, 'it is draining', [])
      forget(proxy)
    },
    isLive: (proxy: string): boolean => streams.has(proxy),
    isSuspect: (proxy: string): boolean => suspects.has(proxy),
    isLost: (proxy: string): boolean => lost.has(proxy),
    lost: (): readonly string[] => [...lost],
    /** An operator has removed the row of the proxy. */
    forget,
    close(): void {
      marking?.[Symbol.dispose]()
      for (const proxy of [...suspects.keys()]) forget(proxy)
    },
  }
}
export type Leases = ReturnType<typeof createLeases>
