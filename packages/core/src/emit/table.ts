/** Type URLs of the resources of proxies, in the order in which additions are sent. */
export const typeUrls = {
  cluster: 'type.googleapis.com/envoy.config.cluster.v3.Cluster',
  assignment: 'type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment',
  secret: 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret',
  listener: 'type.googleapis.com/envoy.config.listener.v3.Listener',
  route: 'type.googleapis.com/envoy.config.route.v3.RouteConfiguration',
  runtime: 'type.googleapis.com/envoy.service.runtime.v3.Runtime',
} as const
export type TypeUrl = (typeof typeUrls)[keyof typeof typeUrls]

import type { Problem } from '../view/problem.ts'

/**
 * One Envoy resource, encoded once. `bytes` is the message itself (the value of the Any). Equal bytes have equal
 * versions.
 */
export interface XdsResource {
  readonly name: string
  readonly bytes: Uint8Array
  /** The first 16 hex digits of the SHA-256 of `bytes`. */
  readonly version: string
  /** Clusters of type EDS: the name of their assignment. */
  readonly assignment?: string
  /** Names of secrets that this cluster or listener uses. */
  readonly secrets?: readonly string[]
  /** Listeners: names of the route tables they use. */
  readonly routes?: readonly string[]
  /** Route tables and listeners: names of the clusters they refer to. */
  readonly clusters?: readonly string[]
  /**
   * The rows whose parts are in this resource: key text of a row → hash of its part. After a NACK the zone excludes the
   * parts that changed since the last acknowledged version, and their rows report the rejection.
   */
  readonly contributions?: ReadonlyMap<string, string>
}

/** A secret that the proxy needs, by name. The zone's shell builds it; no table holds private keys of Secrets. */
export type SecretNeed =
  | {
      readonly type: 'identity'
      /** `identity_cert:secret:<mesh>` */
      readonly name: string
      readonly mesh: string
      /** Sorted; one SAN spiffe://<mesh>/<service> each. */
      readonly services: readonly string[]
      /** `kuma://<tag>/<value>` SANs, sorted texts `<tag>/<value>`. */
      readonly tags: readonly string[]
    }
  | {
      readonly type: 'authority'
      /** `mesh_ca:secret:<mesh>` */
      readonly name: string
      readonly mesh: string
      /**
       * Set for another mesh: until the authority of that mesh is available, this mesh's authority replaces it. It
       * verifies no identity of the other mesh, and the missing authority does not delay the configuration.
       */
      readonly standIn?: string
    }
  /** The authorities of all meshes. */
  | { readonly type: 'authorities' /** `mesh_ca:secret:all` */; readonly name: string }
  | {
      readonly type: 'certificate'
      /** `cert.<rsa|ecdsa>:secret:<secret>`, or `cert.<rsa|ecdsa>:<inline|inlineString>:<hostname>` */
      readonly name: string
      readonly mesh: string
      /** The name of the Secret, or the inline PEM text of the listener. */
      readonly source: { readonly secret: string } | { readonly pem: string }
      readonly fingerprint: string
      /** The contribution that is excluded if Envoy refuses the certificate. */
      readonly contribution: { readonly source: string; readonly hash: string }
    }

/** The complete configuration of one proxy, compiled from the state at one mark. Immutable. */
export interface ProxyTable {
  readonly mark: number
  readonly resources: ReadonlyMap<TypeUrl, ReadonlyMap<string, XdsResource>>
  readonly secretNeeds: readonly SecretNeed[]
  /**
   * The rows that were left out and the reasons, such as a part that Envoy refused or a route that cannot be encoded.
   */
  readonly problems: readonly Problem[]
}

/** The facts that the running proxy reported about its host. */
export interface ProxyFacts {
  /** Loopback mode: the /20 of 127.128.0.0/9 that this proxy has claimed. */
  readonly part?: number
  readonly canBindPort80: boolean
}

/**
 * Whether Envoy refused a listener only because of its address. Envoy may accept the same version once the address is
 * free.
 */
export const isBindFailure = (detail: string): boolean =>
  /cannot bind '|Address already in use|Cannot assign requested address/.test(detail)
