/** What to do instead of a kind, in a clause; empty if nothing here replaces it. */
type Advice = string

const tags = 'a service is the tag kuma.io/service of its Dataplanes, in all zones'
const names = 'the resolver of every zone answers <service>.mesh'
const routes = 'use MeshGatewayRoute for the requests that enter through a gateway'
const mutual = 'use mtls of the Mesh'
const cluster = 'it belongs to a Kubernetes cluster; here a gateway is a process that `zonemesh dataplane` starts'

/** The kinds of Kuma 2.14 and Kong Mesh that no plane here serves. */
const adviceByKind: Readonly<Record<string, Advice>> = {
  TrafficRoute: routes,
  TrafficLog: '',
  TrafficTrace: '',
  HealthCheck: '',
  CircuitBreaker: '',
  FaultInjection: '',
  RateLimit: '',
  ProxyTemplate: '',
  VirtualOutbound: names,
  ExternalService: '',
  MeshService: tags,
  MeshMultiZoneService: tags,
  MeshExternalService: '',
  HostnameGenerator: names,
  MeshHTTPRoute: routes,
  MeshTCPRoute: routes,
  MeshTimeout: 'use Timeout',
  MeshRetry: 'use Retry',
  MeshCircuitBreaker: '',
  MeshHealthCheck: '',
  MeshRateLimit: '',
  MeshGlobalRateLimit: '',
  MeshFaultInjection: '',
  MeshAccessLog: '',
  MeshTrace: '',
  MeshMetric: '',
  MeshLoadBalancingStrategy: '',
  MeshPassthrough: '',
  MeshProxyPatch: '',
  MeshTLS: mutual,
  MeshIdentity: mutual,
  MeshTrust: mutual,
  MeshOPA: '',
  OPAPolicy: '',
  Workload: '',
  AccessRole: 'use user tokens with groups',
  AccessRoleBinding: 'use user tokens with groups',
  AccessAudit: 'use the history, which `zonemesh history` shows',
  ContainerPatch: 'it belongs to a Kubernetes cluster',
  MeshGatewayInstance: cluster,
  MeshGatewayConfig: cluster,
}

const plain = (word: string): string => word.toLowerCase().replaceAll('-', '')

function plural(word: string): string {
  if (/[^aeiou]y$/.test(word)) return `${word.slice(0, -1)}ies`
  return /(s|x|ch)$/.test(word) ? `${word}es` : `${word}s`
}

const kindByWord = new Map(
  Object.keys(adviceByKind).flatMap((kind) => [plain(kind), plural(plain(kind))].map((word) => [word, kind])),
)

/**
 * A sentence about a kind of Kuma that is not served, by its name or by its path in URLs: `MeshTimeout`,
 * `mesh-timeouts`. Undefined for every other word.
 */
export function unservedReason(word: string): string | undefined {
  const kind = kindByWord.get(plain(word))
  const advice = adviceByKind[kind ?? '']
  if (kind === undefined || advice === undefined) return undefined
  return `the kind ${kind} of Kuma is known, not served yet${advice === '' ? '' : `; ${advice}`}`
}
