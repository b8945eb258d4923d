import type { Decided } from '../kinds/because.ts'
import type { Tags } from '../kinds/common.ts'
import type { Permissions } from '../policies/permissions.ts'
import type { HttpRetries } from '../policies/retry/retries.ts'

/**
 * The configuration of a proxy in terms independent of Envoy. Gateway, sidecar and edge build it, and emit turns it
 * into Envoy's messages. All values are immutable and compared by content, so equal values are encoded once. Every part
 * lists the rows that decided it (`because`) for explanations; Envoy does not get this list.
 */

/** An IP address and a port. Only the service behind an inbound may have a hostname as its address. */
export interface SocketAddress {
  readonly address: string
  readonly port: number
}

export interface ClusterModel extends Decided {
  readonly name: string
  /** The tags of its endpoints. Absent if the cluster leads to the proxy's own service. */
  readonly destination?: Tags
  /** Where the endpoints come from: EDS, under the name of the cluster, or this one address. */
  readonly target: 'eds' | SocketAddress
  readonly connectMs: number
  readonly bufferBytes?: number
  /** HTTP towards the endpoints. Absent for plain TCP. */
  readonly http?: {
    readonly version: 1 | 2
    readonly idleMs: number | undefined
    readonly maxStreamMs: number | undefined
    /** Uses the small HTTP/2 windows of an edge proxy. */
    readonly edgeWindows: boolean
  }
  readonly breakers: 'limits' | 'tracked' | 'none'
  /**
   * Mutual TLS of the mesh towards this service. `shown` is the mesh of the client's identity, if it is another mesh.
   */
  readonly mtls?: { readonly mesh: string; readonly service: string; readonly sni: string; readonly shown?: string }
  /** Sets of tag keys by which an ingress selects endpoints. */
  readonly subsetKeys?: readonly (readonly string[])[]
  readonly statName?: string
}

export interface EndpointModel extends SocketAddress, Decided {
  readonly zone: string
  /** Without `kuma.io/service`. */
  readonly tags: Tags
  readonly weight: number
  /**
   * The proxy of this endpoint was lost together with many others. It gets requests only while it accepts connections.
   */
  readonly probed?: true
  /** The endpoint is an egress of this zone, which forwards to the ingresses of other zones. */
  readonly through?: 'egress'
}

export interface AssignmentModel extends Decided {
  readonly cluster: string
  readonly endpoints: readonly EndpointModel[]
}

export type PathMatch =
  | { readonly type: 'exact'; readonly path: string }
  | { readonly type: 'prefix'; readonly path: string }
  | { readonly type: 'regex'; readonly path: string }

export interface HeaderValue {
  readonly name: string
  readonly value: string
}

/** Matches an equal text, or the whole text by an RE2 expression. */
export interface TextMatch {
  readonly type: 'exact' | 'regex'
  readonly value: string
}

export type HeaderMatch = { readonly name: string } & (TextMatch | { readonly type: 'present' | 'absent' })
export type QueryMatch = { readonly name: string } & TextMatch

/** Changes to the headers of a request or a response: Envoy removes names, then sets values, then adds values. */
export interface HeaderChanges {
  readonly set: readonly HeaderValue[]
  readonly add: readonly HeaderValue[]
  readonly remove: readonly string[]
}

/** The new path. It replaces the whole path or only the prefix that the route matched. */
export interface PathChange {
  readonly type: 'full' | 'prefix'
  readonly path: string
}

export interface ForwardAction {
  readonly type: 'forward'
  readonly clusters: readonly { readonly name: string; readonly weight: number }[]
  /**
   * Use weighted clusters even for one cluster, and answer 500 instead of 503 if a cluster does not exist, as gateways
   * do.
   */
  readonly weighted: boolean
  readonly requestMs: number | undefined
  readonly idleMs: number | undefined
  readonly retries?: HttpRetries
  /** The Host header for the service: this text, or the hostname of the endpoint. */
  readonly host?: { readonly literal: string } | 'endpoint'
  readonly path?: PathChange
  /** The clusters that get copies of requests, and how many requests per million. */
  readonly mirrors?: readonly { readonly cluster: string; readonly perMillion: number }[]
}

export type RedirectStatus = 301 | 302 | 303 | 307 | 308

export interface RedirectAction {
  readonly type: 'redirect'
  readonly status: RedirectStatus
  readonly scheme?: 'http' | 'https'
  readonly host?: string
  /** Absent: the port of the request. A port that the scheme implies is written only if the request names a port. */
  readonly port?: { readonly number: number; readonly isImplied: boolean }
  readonly path?: PathChange
}

/** One route of a virtual host. `because` includes its policies. */
export interface RouteModel extends Decided {
  readonly path: PathMatch
  readonly method?: string
  readonly headers: readonly HeaderMatch[]
  readonly queries: readonly QueryMatch[]
  readonly action: ForwardAction | RedirectAction
  readonly requestHeaders?: HeaderChanges
  readonly responseHeaders?: HeaderChanges
  /** The index of its rule in the MeshGatewayRoute, from 0. */
  readonly rule?: number
}

export interface VirtualHostModel extends Decided {
  readonly name: string
  readonly domains: readonly string[]
  /** The hostname of its listener, one of `ListenerModel.serves`. */
  readonly listener?: string
  /** Accepts only TLS. Responses ask clients to use TLS from now on (HSTS). */
  readonly requireTls?: boolean
  /**
   * Connections that use this table must not serve these hosts. Requests get a 421 response, so that clients open
   * another connection.
   */
  readonly misdirected?: boolean
  /** Routes in the order of their match. If the list is empty, every request gets a 404 response with a message. */
  readonly routes: readonly RouteModel[]
}

export interface RouteTableModel extends Decided {
  readonly name: string
  readonly hosts: readonly VirtualHostModel[]
  readonly removeTagsHeader: boolean
  readonly ignorePort: boolean
  /** key text of a row → hash of its part */
  readonly contributions?: ReadonlyMap<string, string>
}

export interface HttpChain {
  readonly type: 'http'
  readonly statPrefix: string
  /** The name of a table in RDS, or a table inside the listener. */
  readonly routes: { readonly rds: string } | RouteTableModel
  /** Selects the settings of the connection manager. */
  readonly role: 'gateway' | 'inbound' | 'outbound'
  readonly streamIdleMs: number | undefined
  readonly permissions?: { readonly mesh: string; readonly rules: Permissions }
}

export interface TcpChain {
  readonly type: 'tcp'
  readonly statPrefix: string
  /** One cluster, or several with weights. */
  readonly cluster: string | readonly { readonly name: string; readonly weight: number }[]
  readonly idleMs?: number | undefined
  readonly connectAttempts?: number | undefined
  /** Selects only endpoints with these tags. */
  readonly subset?: Tags
  readonly permissions?: { readonly mesh: string; readonly rules: Permissions }
}

export interface AnswerChain {
  readonly type: 'answer'
  readonly text: string
}

/** Closes connections at once. */
export interface CloseChain {
  readonly type: 'close'
}

export interface ChainModel extends Decided {
  readonly match?: {
    readonly transport: 'tls' | 'raw_buffer'
    readonly serverNames?: readonly string[]
    readonly alpn?: readonly string[]
  }
  /** Terminates mutual TLS of this mesh. */
  readonly mtls?: string
  /** Accepts client identities of all meshes, not only of its own. */
  readonly anyMesh?: boolean
  /** Terminates TLS with these certificates, given by the names of their secrets. */
  readonly tls?: { readonly certificates: readonly string[]; readonly alpn: readonly string[] }
  readonly content: HttpChain | TcpChain | AnswerChain | CloseChain
}

/** A listener of a MeshGateway: its hostname, and its tags merged with those of the gateway and the proxy. */
export interface ServedListener {
  readonly hostname: string
  readonly tags: Tags
}

export interface ListenerModel extends SocketAddress, Decided {
  readonly name: string
  readonly direction: 'inbound' | 'outbound'
  readonly reusePort: boolean
  readonly bufferBytes?: number
  readonly inspectTls: boolean
  readonly tags?: Tags
  readonly chains: readonly ChainModel[]
  /** The listeners of a MeshGateway that share this port. */
  readonly serves?: readonly ServedListener[]
  /** key text of a row, or of a part of it → hash of that part */
  readonly contributions?: ReadonlyMap<string, string>
}

/**
 * A certificate of a listener, by the name of its secret. The model contains no private key of a Secret; the zone's
 * shell reads it.
 */
export interface CertificateModel extends Decided {
  readonly name: string
  readonly mesh: string
  readonly source: { readonly secret: string } | { readonly pem: string }
  readonly fingerprint: string
  /** The part that is excluded if Envoy refuses the certificate. */
  readonly contribution: { readonly source: string; readonly hash: string }
}

/** The identity of a proxy in its mesh. */
export interface IdentityModel extends Decided {
  readonly mesh: string
  readonly services: readonly string[]
  readonly tags: readonly string[]
}

/** The complete model of a proxy. `because` lists the proxy's own row and the MeshGateway that serves it. */
export interface ProxyModel extends Decided {
  readonly clusters: readonly ClusterModel[]
  readonly assignments: readonly AssignmentModel[]
  readonly listeners: readonly ListenerModel[]
  readonly routeTables: readonly RouteTableModel[]
  readonly identity?: IdentityModel
  /** Other meshes whose certificate authorities the proxy trusts, sorted. */
  readonly otherMeshes?: readonly string[]
  /** The proxy trusts the authorities of all meshes. */
  readonly anyMesh?: boolean
  /** The certificates of the listeners, each name once, sorted. */
  readonly certificates?: readonly CertificateModel[]
  /** Gateways have a runtime layer for their listeners. */
  readonly runtimeLayer: boolean
  /** The maximum number of connections per listener, sorted by name. A listener without an entry has no limit. */
  readonly connectionLimits?: readonly ConnectionLimit[]
}

export interface ConnectionLimit extends Decided {
  readonly listener: string
  readonly limit: number
}
