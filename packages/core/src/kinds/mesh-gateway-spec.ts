import { z } from 'zod'
import { dataSource, isSubdomain, port, protoEnum, selectorList, tagMap } from './common.ts'
import { message } from './kind.ts'
import { decodeBase64 } from './pem.ts'

const listener = message({
  hostname: z.string().optional(),
  port: port.optional(),
  protocol: protoEnum(['NONE', 'TCP', 'TLS', 'HTTP', 'HTTPS']).optional(),
  tls: message({
    mode: protoEnum(['NONE', 'TERMINATE', 'PASSTHROUGH']).optional(),
    certificates: z.array(dataSource).optional(),
    options: z.record(z.string(), z.json()).optional(),
  }).optional(),
  tags: tagMap.optional(),
  crossMesh: z.boolean().optional(),
  resources: message({ connectionLimit: z.number().int().nonnegative().max(4_294_967_295).optional() }).optional(),
})

export const meshGatewaySchema = message({
  selectors: selectorList.default([]),
  tags: tagMap.optional(),
  conf: message({ listeners: z.array(listener).optional() }).optional(),
})
export type MeshGatewaySpec = z.infer<typeof meshGatewaySchema>
export type GatewayListener = z.infer<typeof listener>
/** The source of a certificate and its key. */
export type ListenerCertificate = z.infer<typeof dataSource>

/** `""` and `*` both mean any hostname. */
export const listenerHostname = (listener: GatewayListener): string => listener.hostname || '*'

/** Why a hostname is invalid, in a few words; undefined if it is valid. */
export function hostnameFault(hostname: string): string | undefined {
  if (hostname === '' || hostname === '*') return undefined
  if (hostname.length > 253) return 'must be at most 253 characters'
  if (!hostname.startsWith('*')) return isSubdomain(hostname) ? undefined : 'invalid hostname'
  return hostname.startsWith('*.') && isSubdomain(hostname.slice(2)) ? undefined : 'invalid wildcard domain'
}

/** The members of a certificate that are set. Exactly one is valid. */
export const givenSources = (one: ListenerCertificate): readonly (keyof ListenerCertificate)[] =>
  (['secret', 'inline', 'inlineString', 'file'] as const).filter((member) => one[member] !== undefined)

/** The PEM text of an inline certificate; undefined if the source is not inline or not base64. */
export const inlinePem = ({ inline, inlineString }: ListenerCertificate): string | undefined =>
  inlineString ?? (inline === undefined ? undefined : decodeBase64(inline))
