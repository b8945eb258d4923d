/** Type URLs of what a proxy can be given, in the order in which additions are sent. */
export const typeUrls = {
  cluster: 'type.googleapis.com/envoy.config.cluster.v3.Cluster',
  assignment: 'type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment',
  secret: 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret',
  listener: 'type.googleapis.com/envoy.config.listener.v3.Listener',
  route: 'type.googleapis.com/envoy.config.route.v3.RouteConfiguration',
  runtime: 'type.googleapis.com/envoy.service.runtime.v3.Runtime',
} as const
export type TypeUrl = (typeof typeUrls)[keyof typeof typeUrls]

import type { Problem } from '../view/units.ts'

/** One Envoy resource, encoded once. `bytes` is the message itself (the value of the Any). Equal bytes have equal versions. */
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
   * Who wrote what is in here: the key text of a row → hash of its part. After a nack the parts that changed since the
   * last acked version are excluded, and their rows get the verdict.
   */
  readonly contributions?: ReadonlyMap<string, string>
}

/** A secret that the proxy needs, by name. The zone's shell makes it; no table holds key material. */
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
       * Of another mesh: until its authority is there, that of this one stands in. It vouches for nobody of the other mesh, and
       * what is missing there holds nothing back here.
       */
      readonly standIn?: string
    }
  /** Those of all meshes there are. */
  | { readonly type: 'authorities' /** `mesh_ca:secret:all` */; readonly name: string }
  | {
      readonly type: 'certificate'
      /** `cert.<rsa|ecdsa>:secret:<secret>`, or `cert.<rsa|ecdsa>:<inline|inlineString>:<hostname>` */
      readonly name: string
      readonly mesh: string
      /** The secret's name, or what the listener itself holds. */
      readonly source: { readonly secret: string } | { readonly pem: string }
      readonly fingerprint: string
      /** Whom to blame if Envoy refuses it: the contribution to the resource that is made of it. */
      readonly contribution: { readonly source: string; readonly hash: string }
    }

/** All that one proxy is to have, compiled from the state at one mark. Immutable. */
export interface ProxyTable {
  readonly mark: number
  readonly resources: ReadonlyMap<TypeUrl, ReadonlyMap<string, XdsResource>>
  readonly secretNeeds: readonly SecretNeed[]
  /** Rows that were left out and why: a part Envoy refused, a route the compiler cannot express. */
  readonly problems: readonly Problem[]
}

/** What the running proxy told the zone about its host. */
export interface ProxyFacts {
  /** Loopback mode: the /20 of 127.128.0.0/9 this proxy has claimed. */
  readonly part?: number
  readonly canBindPort80: boolean
}

/** Whether Envoy refused a listener for its address alone: the same version may be taken when that is free. */
export const isBindFailure = (detail: string): boolean =>
  /cannot bind '|Address already in use|Cannot assign requested address/.test(detail)
