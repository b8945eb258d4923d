import { createListeners } from '@zonemesh/shared/base/listeners.ts'
import type { Clock } from '@zonemesh/shared/env/clock.ts'
import type { Position } from '@zonemesh/shared/store/store.ts'
import type { ServedStatus } from '@zonemesh/shared/sync/served-status.ts'
import type { Engine } from '../engine/engine.ts'
import type { Progress } from '../engine/progress.ts'
import type { Quarantine } from '../quarantine/quarantine.ts'
import type { Refusals } from '../refusals/refusals.ts'
import { proxiesOf, type Served, servedTogether } from '../replicas/replica.ts'
import type { ZoneReplicas } from '../replicas/replicas.ts'
import type { CertificateVerdict } from '../secrets/certificates.ts'
import type { ProxyStatus } from './proxies.ts'

interface Deps {
  readonly clock: Clock
  readonly progress: Progress
  readonly status: ProxyStatus
  readonly refusals: Pick<Refusals, 'verdicts'>
  readonly quarantine: Pick<Quarantine, 'verdicts'>
  readonly certificates: { verdicts(): readonly CertificateVerdict[] }
  readonly leftOut: Engine['leftOut']
  readonly replicas: () => Pick<ZoneReplicas, 'others'>
}

const marksMax = 4096
const silentCheckMs = 2_100

/**
 * Reports to the global what this zone serves, as a position in the log of the global. A position is served when the
 * local mark that holds it is served. Reads the progress again after the time at which a silent proxy stops counting.
 */
export function createReporter(deps: Deps) {
  // Limit: the newest 4,096 marks. A newer mark covers an older one.
  let marks: { readonly global: Position; readonly local: number }[] = []
  const listeners = createListeners<ServedStatus>()
  let served: Position | undefined
  let silentCheck: Disposable | undefined

  /** What this process knows by itself. Its verdicts have no revision yet. */
  function own(): Served {
    const { mark, silent } = deps.progress.read()
    return { mark, silent, verdicts: verdicts() }
  }

  function read(): ServedStatus {
    const others = deps.replicas().others()
    const { mark, silent, verdicts: found } = servedTogether(own(), others)
    while (marks[0] && marks[0].local <= mark) served = marks.shift()?.global
    const revision = served?.revision ?? 0
    const known = proxiesOf(others)
    const proxies = new Set([...deps.status.proxies(), ...known.keys()])
    const isConnected = (proxy: string) => deps.status.isConnected(proxy) || known.get(proxy)?.isConnected === true
    return {
      served,
      verdicts: found.map((verdict) => ({ ...verdict, revision })),
      silentProxies: silent,
      proxies: proxies.size,
      proxiesConnected: [...proxies].filter(isConnected).length,
    }
  }

  function verdicts(): ServedStatus['verdicts'] {
    // The report sets the revision.
    const revision = 0
    const rejected = [...deps.refusals.verdicts(), ...deps.status.verdicts()].map((verdict) => ({
      key: verdict.source,
      revision,
      outcome: 'rejected' as const,
      reason: verdict.reason,
      subject: verdict.proxy,
    }))
    // Judged by the zone itself, so without a subject. The reason names the version of the software that failed.
    const quarantined = deps.quarantine.verdicts().map((verdict) => ({
      key: verdict.source,
      revision,
      outcome: 'quarantined' as const,
      reason: `${verdict.reason} (version ${verdict.software})`,
      subject: '',
    }))
    // Judged by the zone itself: listeners do not show the newest version of the secret.
    const unused = deps.certificates.verdicts().map((verdict) => ({
      key: verdict.source,
      revision,
      outcome: 'rejected' as const,
      reason: verdict.reason,
      subject: '',
    }))
    // Judged by the zone itself: the compiler leaves out a part of a valid row.
    const leftOut = deps.leftOut().map((verdict) => ({
      key: verdict.source,
      revision,
      outcome: 'rejected' as const,
      reason: verdict.reason,
      subject: '',
    }))
    return [...rejected, ...unused, ...leftOut, ...quarantined]
  }

  function update(): void {
    listeners.call(read())
    silentCheck?.[Symbol.dispose]()
    silentCheck = marks.length > 0 ? deps.clock.after(silentCheckMs, update) : undefined
  }

  deps.status.onChange(update)
  return {
    update,
    own,
    /** What all replicas serve together. */
    together: (): Served => servedTogether(own(), deps.replicas().others()),
    /** The reported verdicts on rows that are not served as they were written. */
    verdicts: (): ServedStatus['verdicts'] => read().verdicts,
    /** At this local mark, the store holds the log of the global up to this position. */
    applied(global: Position, local: number): void {
      marks.push({ global, local })
      if (marks.length > marksMax) marks.shift()
      update()
    },
    /** The global may have another history now. Nothing of it counts as served before its first mark is served. */
    forgetServed(): void {
      marks = []
      served = undefined
      update()
    },
    onUpdate: listeners.add,
  }
}
export type Reporter = ReturnType<typeof createReporter>
