import type { Decided } from '../kinds/because.ts'
import type { Tags } from '../kinds/common.ts'
import type { Permissions } from '../policies/permissions.ts'
import type { HttpRetries } from '../policies/retry/retries.ts'

/**
 * What a proxy is to have, in our own words: gateway, sidecar and edge say it in these types, emit turns them into
 * Envoy's messages. All values are immutable and compared by content, so equal ones are encoded once. Every part has the rows
 * that decided it (`because`), for explanations: Envoy gets nothing of it.
 */

/** An IP address and a port. Only the service behind an inbound may have a name instead. */
export interface SocketAddress {
  readonly address: string
  readonly port: number
}

export interface ClusterModel extends Decided {
  readonly name: string
  /** The tags that it leads to; absent where it leads to the service of the proxy itself. */
  readonly destination?: Tags
  /** Where its endpoints are: told by EDS under the cluster's name, or this one address. */
  readonly target: 'eds' | SocketAddress
  readonly connectMs: number
  readonly bufferBytes?: number
  /** The HTTP version towards the endpoints; absent: plain TCP. */
  readonly http?: {
    readonly version: 1 | 2
    readonly idleMs: number | undefined
    readonly maxStreamMs: number | undefined
    /** HTTP/2 with the small windows of an edge. */
    readonly edgeWindows: boolean
  }
  readonly breakers: 'limits' | 'tracked' | 'none'
  /** Mutual TLS of the mesh towards this service; `shown`: the mesh whose identity is shown, if that is another one. */
  readonly mtls?: { readonly mesh: string; readonly service: string; readonly sni: string; readonly shown?: string }
  /** Sets of tag keys by which an ingress picks endpoints. */
  readonly subsetKeys?: readonly (readonly string[])[]
  readonly statName?: string
}

export interface EndpointModel extends SocketAddress, Decided {
  readonly zone: string
  /** Without `kuma.io/service`. */
  readonly tags: Tags
  readonly weight: number
  /** Its proxy was lost with many others: it gets requests only while it accepts connections. */
  readonly probed?: true
  /** It is an egress of this zone, behind which there are the ingresses of others. */
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

/** Equal, or matched as a whole by an expression of RE2. */
export interface TextMatch {
  readonly type: 'exact' | 'regex'
  readonly value: string
}

export type HeaderMatch = { readonly name: string } & (TextMatch | { readonly type: 'present' | 'absent' })
export type QueryMatch = { readonly name: string } & TextMatch

/** What happens to the headers of a request or an answer: names are taken away, then values set, then values added. */
export interface HeaderChanges {
  readonly set: readonly HeaderValue[]
  readonly add: readonly HeaderValue[]
  readonly remove: readonly string[]
}

/** The new path: instead of the whole, or instead of what the route has matched of it. */
export interface PathChange {
  readonly type: 'full' | 'prefix'
  readonly path: string
}

export interface ForwardAction {
  readonly type: 'forward'
  readonly clusters: readonly { readonly name: string; readonly weight: number }[]
  /** Always as weighted clusters, and 500 instead of 503 for a cluster that is not there: as gateways do. */
  readonly weighted: boolean
  readonly requestMs: number | undefined
  readonly idleMs: number | undefined
  readonly retries?: HttpRetries
  /** The Host that the service is told: this one, or the name of the endpoint. */
  readonly host?: { readonly literal: string } | 'endpoint'
  readonly path?: PathChange
  /** Where copies of requests are sent, and how many per million. */
  readonly mirrors?: readonly { readonly cluster: string; readonly perMillion: number }[]
}

export type RedirectStatus = 301 | 302 | 303 | 307 | 308

export interface RedirectAction {
  readonly type: 'redirect'
  readonly status: RedirectStatus
  readonly scheme?: 'http' | 'https'
  readonly host?: string
  /** Absent: that of the request. One that its scheme implies is written only if the request says a port itself. */
  readonly port?: { readonly number: number; readonly isImplied: boolean }
  readonly path?: PathChange
}

/** One route of a virtual host. Its policies are among the rows that decided it. */
export interface RouteModel extends Decided {
  readonly path: PathMatch
  readonly method?: string
  readonly headers: readonly HeaderMatch[]
  readonly queries: readonly QueryMatch[]
  readonly action: ForwardAction | RedirectAction
  readonly requestHeaders?: HeaderChanges
  readonly responseHeaders?: HeaderChanges
  /** The rule of the MeshGatewayRoute that it comes from, counted from 0. */
  readonly rule?: number
}

export interface VirtualHostModel extends Decided {
  readonly name: string
  readonly domains: readonly string[]
  /** The hostname of the listener that it belongs to, one of `ListenerModel.serves`. */
  readonly listener?: string
  /** Only over TLS, and clients are told to come that way from now on. */
  readonly requireTls?: boolean
  /** These hosts are not for connections that meet this table: requests are answered with 421, so that clients open others. */
  readonly misdirected?: boolean
  /** In order. None: every request is answered with 404 and a sentence. */
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
  /** By name over RDS, or in the listener itself. */
  readonly routes: { readonly rds: string } | RouteTableModel
  /** Which settings of the connection manager: those of an edge, or of a side of a sidecar. */
  readonly role: 'gateway' | 'inbound' | 'outbound'
  readonly streamIdleMs: number | undefined
  readonly permissions?: { readonly mesh: string; readonly rules: Permissions }
}

export interface TcpChain {
  readonly type: 'tcp'
  readonly statPrefix: string
  /** One, or several by weight. */
  readonly cluster: string | readonly { readonly name: string; readonly weight: number }[]
  readonly idleMs?: number | undefined
  readonly connectAttempts?: number | undefined
  /** Only endpoints with these tags. */
  readonly subset?: Tags
  readonly permissions?: { readonly mesh: string; readonly rules: Permissions }
}

export interface AnswerChain {
  readonly type: 'answer'
  readonly text: string
}

/** Connections are closed at once. */
export interface CloseChain {
  readonly type: 'close'
}

export interface ChainModel extends Decided {
  readonly match?: {
    readonly transport: 'tls' | 'raw_buffer'
    readonly serverNames?: readonly string[]
    readonly alpn?: readonly string[]
  }
  /** Ends mutual TLS of this mesh. */
  readonly mtls?: string
  /** Takes identities of all meshes there, not only of its own. */
  readonly anyMesh?: boolean
  /** Ends TLS with these certificates, named as secrets. */
  readonly tls?: { readonly certificates: readonly string[]; readonly alpn: readonly string[] }
  readonly content: HttpChain | TcpChain | AnswerChain | CloseChain
}

/** A listener of a MeshGateway: its hostname, and its tags with those of the gateway and the proxy. */
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
  /** As in a route table. */
  readonly contributions?: ReadonlyMap<string, string>
}

/** A certificate that a listener shows, by the name of its secret. No key is looked at before the zone's shell does. */
export interface CertificateModel extends Decided {
  readonly name: string
  readonly mesh: string
  readonly source: { readonly secret: string } | { readonly pem: string }
  readonly fingerprint: string
  /** Whom to blame if Envoy refuses it. */
  readonly contribution: { readonly source: string; readonly hash: string }
}

/** The identity that a proxy shows in its mesh. */
export interface IdentityModel extends Decided {
  readonly mesh: string
  readonly services: readonly string[]
  readonly tags: readonly string[]
}

/** The whole of a proxy. It is decided by the proxy's own row and that of the MeshGateway that serves it. */
export interface ProxyModel extends Decided {
  readonly clusters: readonly ClusterModel[]
  readonly assignments: readonly AssignmentModel[]
  readonly listeners: readonly ListenerModel[]
  readonly routeTables: readonly RouteTableModel[]
  readonly identity?: IdentityModel
  /** Other meshes whose authorities it checks, sorted. */
  readonly otherMeshes?: readonly string[]
  /** It checks those of all meshes there are. */
  readonly anyMesh?: boolean
  /** Those of listeners, each name once, sorted. */
  readonly certificates?: readonly CertificateModel[]
  /** Gateways have a runtime layer for their listeners. */
  readonly runtimeLayer: boolean
  /** How many connections listeners take, sorted by name; one that is not in here takes any number. */
  readonly connectionLimits?: readonly ConnectionLimit[]
}

export interface ConnectionLimit extends Decided {
  readonly listener: string
  readonly limit: number
}
