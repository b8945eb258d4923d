import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import { messageOf } from '@zonemesh/shared/base/base.ts'
import { parse } from 'yaml'
import type { DataplaneConfig, ProxyType } from './contract.ts'

/** The identity of this proxy, and the resource that it registers. */
export interface LocalProxy {
  readonly type: ProxyType
  readonly mesh: string
  readonly name: string
  /** The resource as JSON; undefined if the proxy uses an existing one. */
  readonly resource: string | undefined
  /** False for a builtin gateway, and for a sidecar whose host redirects traffic to it. */
  readonly needsLoopback: boolean
}

const kinds = { dataplane: 'Dataplane', ingress: 'ZoneIngress', egress: 'ZoneEgress' } as const
const typeByKind = new Map<unknown, ProxyType>([
  [kinds.dataplane, 'dataplane'],
  [kinds.ingress, 'ingress'],
  [kinds.egress, 'egress'],
])

/** Reads the resource of the proxy and resolves the host names in it, because planes resolve no names. */
export async function readProxy(config: Pick<DataplaneConfig, 'proxyType' | 'source'>): Promise<LocalProxy> {
  const { source } = config
  if (source.type === 'existing') {
    const { proxyType = 'dataplane' } = config
    const mesh = proxyType === 'dataplane' ? source.mesh : ''
    return { type: proxyType, mesh, name: source.name, resource: undefined, needsLoopback: proxyType === 'dataplane' }
  }
  const resource = parseResource(substitute(source.yaml, source.variables))
  const proxyType = typeOf(resource, config.proxyType)
  const networking = isRecord(resource['networking']) ? resource['networking'] : {}
  const addresses: Record<string, unknown> = {}
  for (const field of ['address', 'advertisedAddress']) {
    const host = networking[field]
    if (typeof host === 'string') addresses[field] = await toAddress(host, field)
  }
  const gateway = isRecord(networking['gateway']) ? networking['gateway'] : undefined
  const transparent = isRecord(networking['transparentProxying']) ? networking['transparentProxying'] : {}
  // Without redirection by the host, names need loopback addresses. `reachableServices` alone does not imply
  // redirection.
  const needsLoopback =
    proxyType === 'dataplane' && gateway?.['type'] !== 'BUILTIN' && transparent['redirectPortOutbound'] === undefined
  return {
    type: proxyType,
    mesh: proxyType === 'dataplane' ? String(resource['mesh'] ?? 'default') : '',
    name: String(resource['name']),
    resource: JSON.stringify({ ...resource, networking: { ...networking, ...addresses } }),
    needsLoopback,
  }
}

/**
 * Replaces `{{ name }}` as Mustache does for plain variables. The error names all variables without a value. A name that
 * begins with a dot belongs to a template of another system.
 */
export function substitute(text: string, variables: Readonly<Record<string, string>>): string {
  const missing = new Set<string>()
  const filled = text.replaceAll(/\{\{\{?\s*([\w.-]+)\s*\}?\}\}/g, (whole, name: string) => {
    const value = Object.hasOwn(variables, name) ? variables[name] : undefined
    if (value === undefined && !name.startsWith('.')) missing.add(name)
    return value ?? whole
  })
  if (missing.size > 0)
    throw new Error(
      `the resource uses variables without a value: ${[...missing].join(', ')}; set them with --dataplane-var NAME=VALUE`,
    )
  return filled
}

function typeOf(resource: Readonly<Record<string, unknown>>, given: ProxyType | undefined): ProxyType {
  const { type } = resource
  const found = typeByKind.get(type)
  if (found === undefined)
    throw new Error(
      `the resource must have type Dataplane, ZoneIngress or ZoneEgress, found ${JSON.stringify(type) ?? 'none'}`,
    )
  if (given !== undefined && given !== found)
    throw new Error(
      `--proxy-type ${given} contradicts the resource, which has type ${type}: omit --proxy-type, or give a ${kinds[given]}`,
    )
  return found
}

function parseResource(text: string): Record<string, unknown> {
  let parsed: unknown
  try {
    parsed = parse(text)
  } catch (error) {
    // The first line contains the reason and the place. The other lines show an excerpt.
    const [reason = ''] = messageOf(error).split('\n')
    throw new Error(`the resource is not YAML: ${reason.replace(/:$/, '')}`, { cause: error })
  }
  if (!isRecord(parsed)) throw new Error('the resource is not a YAML object')
  if (typeof parsed['name'] !== 'string' || parsed['name'] === '') throw new Error('the resource has no name')
  return parsed
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  value !== null && typeof value === 'object' && !Array.isArray(value)

async function toAddress(host: string, field: string): Promise<string> {
  if (isIP(host)) return host
  try {
    return (await lookup(host, { family: 4 })).address
  } catch (error) {
    throw new Error(`cannot resolve networking.${field} ${JSON.stringify(host)}: ${messageOf(error)}`, {
      cause: error,
    })
  }
}
