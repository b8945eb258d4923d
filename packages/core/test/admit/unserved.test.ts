import { expect, test } from 'vitest'
import { admit } from '../../src/admit/admit.ts'
import { unservedReason } from '../../src/kinds/unserved.ts'
import { findKind, findKindByPath, publicKinds } from '../../src/registry.ts'

/** The kinds of Kuma 2.14, with their paths in URLs, that users of Kuma have in their repositories. */
const ofKuma = {
  ...{ TrafficRoute: 'traffic-routes', TrafficLog: 'traffic-logs', TrafficTrace: 'traffic-traces' },
  ...{ HealthCheck: 'health-checks', CircuitBreaker: 'circuit-breakers', FaultInjection: 'fault-injections' },
  ...{ RateLimit: 'rate-limits', ProxyTemplate: 'proxytemplates', VirtualOutbound: 'virtual-outbounds' },
  ...{ ExternalService: 'external-services', MeshService: 'meshservices', HostnameGenerator: 'hostnamegenerators' },
  ...{ MeshMultiZoneService: 'meshmultizoneservices', MeshExternalService: 'meshexternalservices' },
  ...{ MeshHTTPRoute: 'meshhttproutes', MeshTCPRoute: 'meshtcproutes', MeshTimeout: 'meshtimeouts' },
  ...{ MeshRetry: 'meshretries', MeshCircuitBreaker: 'meshcircuitbreakers', MeshHealthCheck: 'meshhealthchecks' },
  ...{ MeshRateLimit: 'meshratelimits', MeshFaultInjection: 'meshfaultinjections', MeshAccessLog: 'meshaccesslogs' },
  ...{ MeshTrace: 'meshtraces', MeshMetric: 'meshmetrics', MeshPassthrough: 'meshpassthroughs', MeshTLS: 'meshtlses' },
  ...{ MeshLoadBalancingStrategy: 'meshloadbalancingstrategies', MeshProxyPatch: 'meshproxypatches' },
  ...{ MeshIdentity: 'meshidentities', MeshTrust: 'meshtrusts', MeshGatewayInstance: 'meshgatewayinstances' },
  ...{ MeshGatewayConfig: 'meshgatewayconfigs', MeshOPA: 'meshopas' },
}

test('A15 a kind of Kuma that is not served is refused as known, with what to use today', () => {
  for (const [kind, path] of Object.entries(ofKuma)) {
    expect([kind, findKind(kind), findKindByPath(path)]).toEqual([kind, undefined, undefined])
    const reason = unservedReason(kind)
    expect(reason).toMatch(new RegExp(`^the kind ${kind} of Kuma is known, not served yet(; .+)?$`))
    expect([path, unservedReason(path)]).toEqual([path, reason])
    const kubernetes = { apiVersion: 'kuma.io/v1alpha1', kind, metadata: { name: 'x' }, spec: {} }
    for (const document of [{ type: kind, name: 'x', mesh: 'default', spec: {} }, kubernetes]) {
      const read = admit(document)
      const refusal = read.ok ? { detail: 'admitted', violations: [] } : read.error
      if (kind === 'MeshGatewayInstance' && document === kubernetes)
        expect(refusal.detail).toMatch(/^MeshGatewayInstance \(kuma\.io\/v1alpha1\) belongs to Kubernetes: /)
      else
        expect(refusal).toEqual({
          detail: reason,
          violations: [{ field: 'type', reason, choices: publicKinds.map(({ name }) => name) }],
        })
    }
  }
  expect(unservedReason('MeshTimeout')).toBe('the kind MeshTimeout of Kuma is known, not served yet; use Timeout')
  expect(unservedReason('mesh-retry')).toMatch(/; use Retry$/)
  expect(unservedReason('MeshGatewayConfig')).toMatch(/belongs to a Kubernetes cluster/)
  for (const word of ['', 'mush', 'Mesh', 'Timeout', 'constructor', 'meshtimeoutss'])
    expect(unservedReason(word)).toBeUndefined()
})
