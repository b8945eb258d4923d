import type { Clock } from '@zonemesh/shared/env/clock.ts'
import type { Log } from '@zonemesh/shared/env/log.ts'

interface Deps {
  readonly clock: Clock
  readonly log: Log
  /** Removes the row of a proxy that is gone. */
  remove(proxy: string, why: string): Promise<void>
}

export interface LeaseOptions {
  readonly leaseMs: number
  /** Above both limits a loss looks like the network's or our own fault: nothing is removed. */
  readonly lostShareMax: number
  readonly lostCountMax: number
}

export const defaultLeaseOptions: LeaseOptions = { leaseMs: 30_000, lostShareMax: 0.3, lostCountMax: 10 }

/**
 * Who of the proxies is alive. A proxy that registered by its stream holds a lease: a lost stream makes it suspect, and
 * removes it after the lease. Rows of a former life of this process have no lease to lose, so they stay until their
 * proxies return or an operator says so: silence of a control plane never removes an endpoint.
 */
export function createLeases(deps: Deps, options: LeaseOptions = defaultLeaseOptions) {
  const streams = new Map<string, Set<string>>()
  /** The timer that ends the lease of each proxy whose stream was lost. */
  const suspects = new Map<string, Disposable>()

  const tooMany = () => {
    const total = streams.size + suspects.size
    return suspects.size > options.lostCountMax && suspects.size > total * options.lostShareMax
  }

  const suspect = (proxy: string) =>
    suspects.set(
      proxy,
      deps.clock.after(options.leaseMs, () => expire(proxy)),
    )

  function expire(proxy: string): void {
    if (tooMany()) {
      deps.log.warn(
        { lost: suspects.size, live: streams.size },
        'too many proxies were lost at once: none is removed until they return',
      )
      suspect(proxy)
      return
    }
    suspects.delete(proxy)
    deps.remove(proxy, 'its stream was lost and it did not return within its lease').catch((thrown: unknown) => {
      deps.log.warn({ proxy, err: thrown }, 'cannot remove a proxy that is gone; trying again after another lease')
      if (!streams.has(proxy)) suspect(proxy)
    })
  }

  function forget(proxy: string): void {
    suspects.get(proxy)?.[Symbol.dispose]()
    suspects.delete(proxy)
  }

  return {
    opened(proxy: string, stream: string): void {
      forget(proxy)
      streams.set(proxy, (streams.get(proxy) ?? new Set()).add(stream))
    },
    /** `leased`: the proxy registered itself by this stream; others keep their row whatever happens. */
    closed(proxy: string, stream: string, leased: boolean): void {
      const open = streams.get(proxy)
      open?.delete(stream)
      if (!open || open.size > 0) return
      streams.delete(proxy)
      if (!leased) return
      suspect(proxy)
    },
    /** SIGTERM at the proxy: it goes at once. */
    async draining(proxy: string): Promise<void> {
      forget(proxy)
      await deps.remove(proxy, 'it is draining')
      forget(proxy)
    },
    isLive: (proxy: string): boolean => streams.has(proxy),
    isSuspect: (proxy: string): boolean => suspects.has(proxy),
    close(): void {
      for (const proxy of [...suspects.keys()]) forget(proxy)
    },
  }
}
export type Leases = ReturnType<typeof createLeases>
