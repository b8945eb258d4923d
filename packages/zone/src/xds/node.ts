import type { ProxyFacts } from '@zonemesh/core/emit/table.ts'
import type { DeltaDiscoveryRequest } from '@zonemesh/core/gen/envoy/service/discovery/v3/discovery_pb.js'
import { type JsonObject, ok, type Result } from '@zonemesh/shared/base/base.ts'
import type { ProxyIdentity, ProxyType } from './contract.ts'

export interface ProxyNode {
  readonly proxy: ProxyIdentity
  readonly resource: JsonObject | undefined
  readonly facts: ProxyFacts
  readonly metadata: JsonObject
}

/** Reads the identity of the proxy from the node in the first message of a stream, which our bootstrap wrote. */
export function readNode(node: DeltaDiscoveryRequest['node']): Result<ProxyNode, string> {
  if (!node) return { ok: false, error: 'the first message of the stream carries no node' }
  // google.protobuf.Struct is plain JSON in protobuf-es.
  const metadata = (node.metadata ?? {}) as JsonObject
  const type = metadata['dataplane.proxyType'] ?? 'dataplane'
  if (!isProxyType(type)) return { ok: false, error: `unknown proxy type ${JSON.stringify(type)}` }
  const dot = node.id.indexOf('.')
  const proxy = { type, mesh: node.id.slice(0, Math.max(dot, 0)), name: node.id.slice(dot + 1) }
  if (dot < 0 || proxy.name === '' || (type === 'dataplane') !== (proxy.mesh !== '')) {
    return { ok: false, error: `node id ${JSON.stringify(node.id)} is not that of a ${type}` }
  }
  const resource = readResource(metadata['dataplane.resource'])
  if (!resource.ok) return resource
  const part = metadata['zonemesh.part']
  const facts = {
    ...(typeof part === 'number' ? { part } : {}),
    canBindPort80: metadata['zonemesh.canBindPort80'] === true,
  }
  return ok({ proxy, resource: resource.value, facts, metadata })
}

export const isProxyType = (type: unknown): type is ProxyType =>
  type === 'dataplane' || type === 'ingress' || type === 'egress'

function readResource(text: unknown): Result<JsonObject | undefined, string> {
  if (typeof text !== 'string' || text === '') return ok(undefined)
  try {
    const parsed: unknown = JSON.parse(text)
    if (parsed !== null && typeof parsed === 'object' && !Array.isArray(parsed)) {
      return ok(parsed as JsonObject) // an object from JSON.parse
    }
  } catch {
    // Not JSON: refused below like every other value that is no object.
  }
  return { ok: false, error: 'node metadata dataplane.resource is not a JSON object' }
}
