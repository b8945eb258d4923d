import { hostname } from 'node:os'
import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import { version } from '@zonemesh/shared/base/version.ts'
import { type Leadership, onLead } from '@zonemesh/shared/leader/election.ts'
import type { RedisLink } from '@zonemesh/shared/redis/link.ts'
import type { Engine } from '../engine/engine.ts'
import type { Progress } from '../engine/progress.ts'
import type { Leases } from '../leases/leases.ts'
import type { OtherReplica, ReplicaProxy, ReplicaState } from '../replicas/replica.ts'
import type { ZoneReplicas } from '../replicas/replicas.ts'
import type { Secrets } from '../secrets/secrets.ts'
import { problemText } from './problems.ts'
import type { ProxyStatus } from './proxies.ts'
import type { Reporter } from './reporter.ts'

interface Deps {
  readonly status: Pick<ProxyStatus, 'insightOf' | 'isConnected' | 'proxies' | 'streamOf'>
  readonly engine: Pick<Engine, 'mark' | 'needsOf' | 'problemsOf'>
  readonly secrets: Pick<Secrets, 'identityOf'>
  readonly leases: Pick<Leases, 'lost'>
  readonly progress: Pick<Progress, 'servedBy'>
  readonly reporter: Pick<Reporter, 'own'>
  readonly uses: () => ReplicaState['uses']
  readonly uplink: () => JsonObject | undefined
}

/** What this process publishes to the other replicas of its zone. */
export function createOwnState(deps: Deps) {
  const { status, engine, secrets } = deps
  function proxyOf(proxy: string): ReplicaProxy | undefined {
    const need = engine.needsOf(proxy).find(({ type }) => type === 'identity')
    const insight = status.insightOf(proxy, need && secrets.identityOf(need))
    const stream = status.streamOf(proxy)
    if (!insight || !stream) return undefined
    return {
      isConnected: status.isConnected(proxy),
      ...stream,
      served: deps.progress.servedBy(proxy),
      reason: problemText(engine.problemsOf(proxy)),
      insight,
    }
  }
  const proxies = (): ReadonlyMap<string, ReplicaProxy> => {
    const found = status.proxies().map((proxy) => [proxy, proxyOf(proxy)] as const)
    return new Map(found.flatMap(([proxy, value]) => (value ? [[proxy, value]] : [])))
  }
  return {
    proxyOf,
    proxies,
    /** This process in the form in which others appear. */
    replica: (): Pick<OtherReplica, 'proxies'> => ({ proxies: proxies() }),
    state(): ReplicaState {
      const { mark, silent, verdicts } = deps.reporter.own()
      const uplink = deps.uplink()
      const facts = { host: hostname(), version, compiled: engine.mark.value, served: mark, silent, verdicts }
      return { ...facts, lost: deps.leases.lost(), uses: deps.uses(), ...(uplink ? { uplink } : {}) }
    },
  }
}
export type OwnState = ReturnType<typeof createOwnState>

/** Follows what other replicas publish: their streams hold leases too, and their proxies count in every report. */
export function followReplicas({
  replicas,
  status,
  leases,
  leadership,
  ...deps
}: {
  readonly replicas: ZoneReplicas
  readonly status: Pick<ProxyStatus, 'onChange' | 'proxies' | 'isConnected'>
  readonly leases: Pick<Leases, 'opened' | 'closed'>
  readonly leadership: Pick<Leadership, 'lead'>
  readonly reporter: Pick<Reporter, 'onUpdate' | 'update'>
  readonly redis: Pick<RedisLink, 'setPeers'> | undefined
  /** Checks everything that only the leader writes. */
  wake(): void
}): AsyncDisposable {
  status.onChange(() => {
    replicas.changed()
    deps.redis?.setPeers(status.proxies().filter(status.isConnected))
  })
  replicas.onChange(deps.reporter.update)
  deps.reporter.onUpdate(replicas.hurry)
  replicas.onStream(({ proxy, instance, isOpen, isLeased }) => {
    if (isOpen) leases.opened(proxy, instance)
    else leases.closed(proxy, instance, isLeased)
  })
  return onLead(leadership, deps.wake)
}
