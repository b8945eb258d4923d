import { z } from 'zod'
import { meshTag, serviceTag } from './common.ts'
import { defineKind, type IndexEntry, type TypedRow } from './kind.ts'
import { byMesh, byName, ranges } from './ranges.ts'

/** Bookkeeping of the planes, as rows like any other. People neither write nor list them. */
const internalKind = { path: '', writable: { global: false, zone: false }, internal: true, fixedName: true } as const

const availableServiceSchema = z.object({ tags: z.record(z.string(), z.string()), instances: z.number().int() })

/**
 * One set of tags that a zone serves in a mesh, with the number of ready inbounds that carry it. The name is the hash of
 * the tags. One row each, so that one flap does not rewrite a long list.
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
    // Listeners of gateways for other meshes have names of their own.
    names: ({ spec: { tags } }) => (tags[meshTag] === undefined && tags[serviceTag] ? [tags[serviceTag]] : []),
  },
})
export type AvailableServiceSpec = z.infer<typeof availableServiceSchema>

/** Announcements of the compiler's own zone are for other zones: here the instances themselves are found. */
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

/** The virtual address of a service in a mesh, named by the service: first of two unique keys. */
export const virtualAddress = defineKind({
  ...internalKind,
  name: 'VirtualAddress',
  scope: 'mesh',
  travel: 'internal',
  schema: z.object({ number: z.number().int(), releasedAtMs: z.number().optional() }),
  compiled: { owner: 'global', blame: 70, index: byMesh },
})
export type VirtualAddressSpec = z.infer<typeof virtualAddress.schema>

/** Who holds a number, named by the number: the second of the two unique keys. */
export const virtualAddressNumber = defineKind({
  ...internalKind,
  name: 'VirtualAddressNumber',
  scope: 'global',
  travel: 'internal',
  schema: z.object({ mesh: z.string(), service: z.string() }),
})
export type VirtualAddressNumberSpec = z.infer<typeof virtualAddressNumber.schema>

/** The numbers that a zone may give to names, as its global has granted them: one row. */
export const virtualAddressReserve = defineKind({
  ...internalKind,
  name: 'VirtualAddressReserve',
  scope: 'global',
  travel: 'internal',
  schema: z.object({
    /** The incarnation of the zone that they were granted to. */
    incarnation: z.number().int(),
    /** The zone may use the numbers below. */
    below: z.number().int(),
    /** Former incarnations may have given out any number below: none of them is used within the quarantine. */
    before: z.number().int(),
  }),
})
export type VirtualAddressReserveSpec = z.infer<typeof virtualAddressReserve.schema>

/**
 * A root of a mesh. The key of a builtin one never leaves the global (or the standalone zone); that of a provided one stays
 * where its owner has put it, and is empty here.
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

/** A zone asks for its intermediate authority of a mesh. The key stays in the zone. */
export const authorityRequest = defineKind({
  ...internalKind,
  name: 'AuthorityRequest',
  scope: 'mesh',
  travel: 'zone-to-global',
  schema: z.object({ backend: z.string(), publicKey: z.string() }),
})
export type AuthorityRequestSpec = z.infer<typeof authorityRequest.schema>

/**
 * What the live proxies of a zone make of a mesh's authorities, by the fingerprints of roots: `trusts`, those that every one
 * of them trusts; `shows`, those that a certificate of one of them leads to. `generation` is that of the answer that the zone
 * has read: what it says is true of that one and of those before. A rotation waits for the first, and a root that was taken
 * away stays in the bundle for the second.
 */
export const authorityUse = defineKind({
  ...internalKind,
  name: 'AuthorityUse',
  scope: 'mesh',
  travel: 'zone-to-global',
  schema: z.object({ generation: z.number(), trusts: z.array(z.string()), shows: z.array(z.string()) }),
})
export type AuthorityUseSpec = z.infer<typeof authorityUse.schema>

/** The global's answer, seen by the zone it is named after. `roots` is the bundle to trust in this mesh. */
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
    /** Counts the answers to this zone. */
    generation: z.number().optional(),
  }),
})
export type AuthorityCertificateSpec = z.infer<typeof authorityCertificate.schema>

/**
 * The certificate of a listener, for the one zone that its name ends in: `<secret>.<zone>`. What it says of the secret is
 * for the compiler; the key is in what is sealed, which only that zone opens. Or why the secret cannot be used.
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
      /** Why what the secret holds now cannot be used: this is of the last that could. */
      refused: z.string().optional(),
    }),
    z.object({ secret: z.string(), zone: z.string(), problem: z.string() }),
  ]),
  compiled: { owner: 'global', blame: 80, index: byName },
})
export type GatewayCertificateSpec = z.infer<typeof gatewayCertificate.schema>

/** The key that a zone opens what was sealed for it with; itself sealed by the zone. Never synced. */
export const secretKey = defineKind({
  ...internalKind,
  name: 'SecretKey',
  scope: 'global',
  travel: 'internal',
  adminOnly: true,
  schema: z.object({ keyId: z.string(), sealedKey: z.string() }),
})
export type SecretKeySpec = z.infer<typeof secretKey.schema>

/** The public half (JWK) of that key: the owner of secrets seals with it what the zone needs of them. */
export const secretRequest = defineKind({
  ...internalKind,
  name: 'SecretRequest',
  scope: 'global',
  travel: 'zone-to-global',
  schema: z.object({ keyId: z.string(), publicKey: z.record(z.string(), z.string()) }),
})
export type SecretRequestSpec = z.infer<typeof secretRequest.schema>

/** The zone's key of an intermediate authority, sealed. Never synced. */
export const authorityKey = defineKind({
  ...internalKind,
  name: 'AuthorityKey',
  scope: 'mesh',
  travel: 'internal',
  adminOnly: true,
  schema: z.object({ backend: z.string(), publicKey: z.string(), sealedKey: z.string() }),
})
export type AuthorityKeySpec = z.infer<typeof authorityKey.schema>

/** A public key that zones check tokens with. Named `<purpose>-<serial>`, purposes: `zone`, `dataplane`. */
export const tokenKey = defineKind({
  ...internalKind,
  name: 'TokenKey',
  scope: 'global',
  travel: 'global-to-zones',
  schema: z.object({ purpose: z.string(), mesh: z.string(), kid: z.string(), publicKey: z.string() }),
})
export type TokenKeySpec = z.infer<typeof tokenKey.schema>

/** The tokens of a purpose (and mesh) that count no more, by their `jti`. The secrets that people write lists to stay on the global. */
export const tokenRevocation = defineKind({
  ...internalKind,
  name: 'TokenRevocation',
  scope: 'global',
  travel: 'global-to-zones',
  schema: z.object({ purpose: z.string(), mesh: z.string(), ids: z.array(z.string()) }),
})
export type TokenRevocationSpec = z.infer<typeof tokenRevocation.schema>

/**
 * A part of a row that an Envoy refused, named by the hash of its source. It stays out of the tables until the row is
 * written again, through restarts too: a restarted zone must not try it on Envoys that have nothing else to fall back on.
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
 * A version of a row that is left out of everything, because its shape is not that of its kind or because the compiler
 * failed of it; named by the hash of its source. Kept so that a restarted zone does not fail of it again. It ends when
 * the row is written again or another version of the software looks at it.
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
