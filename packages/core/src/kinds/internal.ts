import { z } from 'zod'
import { meshTag, serviceTag } from './common.ts'
import { defineKind, type IndexEntry, type TypedRow } from './kind.ts'
import { byMesh, byName, ranges } from './ranges.ts'

/** Internal state of the planes, stored as rows. Users neither write nor list these rows. */
const internalKind = { path: '', writable: { global: false, zone: false }, internal: true, fixedName: true } as const

const availableServiceSchema = z.object({ tags: z.record(z.string(), z.string()), instances: z.number().int() })

/**
 * One tag set that a zone serves in a mesh, with the number of ready inbounds that have it. The name is the hash of the
 * tags. Each tag set has its own row, so that one flapping inbound does not rewrite a long list.
 */
export const availableService = defineKind({
  ...internalKind,
  name: 'AvailableService',
  scope: 'mesh',
  travel: 'zone-relayed',
  schema: availableServiceSchema,
  compiled: {
    owner: 'zone',
    blame: 60,
    index: announcedIn,
    // Cross-mesh listeners get their names from the MeshGateway.
    names: ({ spec: { tags } }) => (tags[meshTag] === undefined && tags[serviceTag] ? [tags[serviceTag]] : []),
  },
})
export type AvailableServiceSpec = z.infer<typeof availableServiceSchema>

/** Announcements of the compiler's own zone are not indexed: the zone uses its instances directly. */
function announcedIn(
  { key: { origin, mesh }, spec: { tags } }: TypedRow<AvailableServiceSpec>,
  zone: string,
): readonly IndexEntry[] {
  const { [serviceTag]: service, [meshTag]: crossMesh } = tags
  if (origin === zone || !service) return []
  return [
    { range: crossMesh ? ranges.crossMeshAnnounced(mesh, service) : ranges.announced(mesh, service) },
    { range: ranges.remoteMeshes, member: mesh },
    { range: crossMesh ? ranges.remoteGateways(mesh) : ranges.remoteServices(mesh), member: service },
  ]
}

/** The virtual address of a service in a mesh, named by the service. It is the first of two unique keys. */
export const virtualAddress = defineKind({
  ...internalKind,
  name: 'VirtualAddress',
  scope: 'mesh',
  travel: 'internal',
  schema: z.object({ number: z.number().int(), releasedAtMs: z.number().optional() }),
  compiled: { owner: 'global', blame: 70, index: byMesh },
})
export type VirtualAddressSpec = z.infer<typeof virtualAddress.schema>

/** The holder of a number, named by the number. It is the second of two unique keys. */
export const virtualAddressNumber = defineKind({
  ...internalKind,
  name: 'VirtualAddressNumber',
  scope: 'global',
  travel: 'internal',
  schema: z.object({ mesh: z.string(), service: z.string() }),
})
export type VirtualAddressNumberSpec = z.infer<typeof virtualAddressNumber.schema>

/** The numbers that the global has granted to a zone. There is one such row. */
export const virtualAddressReserve = defineKind({
  ...internalKind,
  name: 'VirtualAddressReserve',
  scope: 'global',
  travel: 'internal',
  schema: z.object({
    /** The incarnation of the zone that received the grant. */
    incarnation: z.number().int(),
    /** The zone may use numbers below this one. */
    below: z.number().int(),
    /**
     * Former incarnations may have assigned any number below this one. None of these is assigned within the quarantine.
     */
    before: z.number().int(),
  }),
})
export type VirtualAddressReserveSpec = z.infer<typeof virtualAddressReserve.schema>

/**
 * A root certificate of a mesh. The key of a builtin root never leaves the global (or the standalone zone). The key of
 * a provided root stays in its source; here it is empty.
 */
export const meshRoot = defineKind({
  ...internalKind,
  name: 'MeshRoot',
  scope: 'mesh',
  travel: 'internal',
  adminOnly: true,
  schema: z.object({ backend: z.string(), certificate: z.string(), sealedKey: z.string() }),
})
export type MeshRootSpec = z.infer<typeof meshRoot.schema>

/** A zone's request for its intermediate authority of a mesh. The key stays in the zone. */
export const authorityRequest = defineKind({
  ...internalKind,
  name: 'AuthorityRequest',
  scope: 'mesh',
  travel: 'zone-to-global',
  schema: z.object({ backend: z.string(), publicKey: z.string() }),
})
export type AuthorityRequestSpec = z.infer<typeof authorityRequest.schema>

/**
 * The roots of a mesh that the live proxies of a zone use, by fingerprint. `trusts` are the roots that every proxy
 * trusts; `shows` are the roots to which a certificate of a proxy leads. `generation` is that of the answer that the
 * zone has read; the report is true of that answer and of earlier ones. A rotation waits for `trusts`. A removed root
 * stays in the bundle while it is in `shows`.
 */
export const authorityUse = defineKind({
  ...internalKind,
  name: 'AuthorityUse',
  scope: 'mesh',
  travel: 'zone-to-global',
  schema: z.object({ generation: z.number(), trusts: z.array(z.string()), shows: z.array(z.string()) }),
})
export type AuthorityUseSpec = z.infer<typeof authorityUse.schema>

/**
 * The global's answer to a request. Only the zone in its name reads it. `roots` is the bundle to trust in this mesh.
 */
export const authorityCertificate = defineKind({
  ...internalKind,
  name: 'AuthorityCertificate',
  explained: true,
  scope: 'mesh',
  travel: 'global-to-zones',
  schema: z.object({
    zone: z.string(),
    backend: z.string(),
    publicKey: z.string(),
    certificate: z.string(),
    roots: z.string(),
    notAfterMs: z.number(),
    /** The number of answers to this zone. */
    generation: z.number().optional(),
  }),
})
export type AuthorityCertificateSpec = z.infer<typeof authorityCertificate.schema>

/**
 * The certificate of a listener for one zone, named `<secret>.<zone>`. The compiler uses the facts about the Secret.
 * The key is in `sealed`, which only that zone can open. The other form has the reason why the Secret cannot be used.
 */
export const gatewayCertificate = defineKind({
  ...internalKind,
  name: 'GatewayCertificate',
  scope: 'mesh',
  travel: 'global-to-zones',
  adminOnly: true,
  schema: z.union([
    z.object({
      secret: z.string(),
      zone: z.string(),
      keyType: z.enum(['rsa', 'ecdsa']),
      names: z.array(z.string()),
      notAfterMs: z.number(),
      fingerprint: z.string(),
      sealed: z.string(),
      /** Why the present content of the Secret cannot be used. The other fields describe the last usable content. */
      refused: z.string().optional(),
    }),
    z.object({ secret: z.string(), zone: z.string(), problem: z.string() }),
  ]),
  compiled: { owner: 'global', blame: 80, index: byName },
})
export type GatewayCertificateSpec = z.infer<typeof gatewayCertificate.schema>

/** The zone's private key for data that was sealed for it. The zone seals the key itself. Never synced. */
export const secretKey = defineKind({
  ...internalKind,
  name: 'SecretKey',
  scope: 'global',
  travel: 'internal',
  adminOnly: true,
  schema: z.object({ keyId: z.string(), sealedKey: z.string() }),
})
export type SecretKeySpec = z.infer<typeof secretKey.schema>

/** The public half (JWK) of that key. The owner of Secrets uses it to seal data for the zone. */
export const secretRequest = defineKind({
  ...internalKind,
  name: 'SecretRequest',
  scope: 'global',
  travel: 'zone-to-global',
  schema: z.object({ keyId: z.string(), publicKey: z.record(z.string(), z.string()) }),
})
export type SecretRequestSpec = z.infer<typeof secretRequest.schema>

/** The zone's private key of an intermediate authority, sealed. Never synced. */
export const authorityKey = defineKind({
  ...internalKind,
  name: 'AuthorityKey',
  scope: 'mesh',
  travel: 'internal',
  adminOnly: true,
  schema: z.object({ backend: z.string(), publicKey: z.string(), sealedKey: z.string() }),
})
export type AuthorityKeySpec = z.infer<typeof authorityKey.schema>

/** A public key with which zones verify tokens. Named `<purpose>-<serial>`; purposes are `zone` and `dataplane`. */
export const tokenKey = defineKind({
  ...internalKind,
  name: 'TokenKey',
  scope: 'global',
  travel: 'global-to-zones',
  schema: z.object({ purpose: z.string(), mesh: z.string(), kid: z.string(), publicKey: z.string() }),
})
export type TokenKeySpec = z.infer<typeof tokenKey.schema>

/**
 * The revoked tokens of a purpose (and mesh), by their `jti`. The Secrets in which users list them stay on the global.
 */
export const tokenRevocation = defineKind({
  ...internalKind,
  name: 'TokenRevocation',
  scope: 'global',
  travel: 'global-to-zones',
  schema: z.object({ purpose: z.string(), mesh: z.string(), ids: z.array(z.string()) }),
})
export type TokenRevocationSpec = z.infer<typeof tokenRevocation.schema>

/**
 * A part of a row that Envoy refused, named by the hash of its source. It stays out of the tables until the row is
 * written again, also across restarts: a restarted zone must not send it to Envoys that have no earlier configuration.
 */
export const refusal = defineKind({
  ...internalKind,
  name: 'Refusal',
  explained: true,
  scope: 'mesh',
  travel: 'internal',
  schema: z.object({
    source: z.string(),
    hash: z.string(),
    proxy: z.string(),
    resource: z.string(),
    reason: z.string(),
  }),
})
export type RefusalSpec = z.infer<typeof refusal.schema>

/**
 * A version of a row that is ignored, because it does not match the schema of its kind or because it made the compiler
 * fail. The name is the hash of its source. It is stored so that a restarted zone does not fail again. The quarantine
 * ends when the row is written again or another software version runs.
 */
export const quarantine = defineKind({
  ...internalKind,
  name: 'Quarantine',
  explained: true,
  scope: 'mesh',
  travel: 'internal',
  schema: z.object({
    source: z.string(),
    /** `<incarnation>.<originRevision>` of the row. */
    rowVersion: z.string(),
    reason: z.string(),
    atMs: z.number(),
    software: z.string(),
  }),
})
export type QuarantineSpec = z.infer<typeof quarantine.schema>
