/**
 * The types in which features are described: listeners, routes, and a table of requests with the expected responses.
 */

/**
 * The target of a request: the name of a service in the scene, with more tags if only some of its instances are meant.
 */
export interface Backend {
  readonly to: string
  readonly tags?: Readonly<Record<string, string>>
  readonly weight?: number
}

export interface Listener {
  /** Listeners of a feature with the same letter share a port. */
  readonly at?: string
  readonly hostname?: string
  readonly protocol?: 'HTTP' | 'HTTPS' | 'TLS' | 'TCP'
  readonly tls?: Readonly<Record<string, unknown>>
  /** A separate tag, by which a route can be bound only to this listener. */
  readonly tag?: string
}

export interface Route {
  /** The tag of the route's listener; absent: all listeners of the feature. */
  readonly listener?: string
  readonly hostnames?: readonly string[]
  readonly http?: readonly Rule[]
  readonly tcp?: readonly (readonly Backend[])[]
}

export interface Rule {
  readonly matches: readonly Readonly<Record<string, unknown>>[]
  readonly filters?: readonly Readonly<Record<string, unknown>>[]
  readonly backends?: readonly Backend[]
}

export interface Case {
  readonly at?: string
  readonly method?: string
  readonly host?: string
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  /** Headers that the service adds to its response. */
  readonly answering?: Readonly<Record<string, string>>
  /** Sends the request over TLS with this server name. */
  readonly tls?: string

  /** The service that responds; absent if the gateway itself responds with a status. */
  readonly to?: string
  readonly zone?: string
  readonly version?: string
  readonly status?: number
  /** The request that the service received, if it differs from the one sent. */
  readonly asked?: {
    readonly path?: string
    readonly host?: string
    readonly headers?: Readonly<Record<string, string>>
    readonly without?: readonly string[]
  }
  /** The expected headers of the response. */
  readonly answer?: { readonly headers?: Readonly<Record<string, string>>; readonly without?: readonly string[] }
  /** The Location of a redirect; `PORT` stands for the port of the request. */
  readonly location?: string
  readonly body?: string
  readonly mirroredTo?: readonly string[]
}

export interface Feature {
  readonly name: string
  readonly listeners?: readonly Listener[]
  readonly routes: readonly Route[]
  readonly cases: readonly Case[]
}

export const v1 = 'infra_v1_svc_8080'
export const v2 = 'infra_v2_svc_8080'
export const v3 = 'infra_v3_svc_8080'
export const echo = 'echo_demo_svc_8080'

export const prefix = (value: string) => ({ path: { match: 'PREFIX', value } })
export const exact = (value: string) => ({ path: { match: 'EXACT', value } })
export const regex = (value: string) => ({ path: { match: 'REGEX', value } })
export const header = (name: string, value: string, match = 'EXACT') => ({ name, value, match })
export const to = (...services: readonly string[]): readonly Backend[] => services.map((service) => ({ to: service }))

/** A rule with one match. */
export const rule = (
  match: Readonly<Record<string, unknown>>,
  service: string,
  ...filters: Rule['filters'] & {}
): Rule => ({
  matches: [match],
  backends: to(service),
  ...(filters.length > 0 ? { filters } : {}),
})
/** A rule that redirects. */
export const redirect = (match: Readonly<Record<string, unknown>>, how: Readonly<Record<string, unknown>>): Rule => ({
  matches: [match],
  filters: [{ redirect: how }],
})
