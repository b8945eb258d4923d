import type { FastifyRequest } from 'fastify'
import type { User } from './identity.ts'
import type { ApiPlane } from './plane.ts'
import type { Shape } from './shape.ts'

/** One request, as passed to handlers. */
export interface Call {
  readonly user: User
  readonly params: Readonly<Record<string, string>>
  readonly query: URLSearchParams
  readonly body: unknown
  readonly request: FastifyRequest
  /** Aborts when the caller has its response, or has closed its connection. */
  untilClosed(): AbortSignal
  /** Opens a stream of events of this server. */
  openEvents(): Promise<Answer>
}

export interface Answer {
  readonly status: number
  readonly body: unknown
  readonly headers?: Readonly<Record<string, string>>
  /** A text answer instead of JSON. */
  readonly text?: string
  /** Server-sent events instead of JSON, until the signal aborts. The caller takes them at its own pace. */
  readonly stream?: (signal: AbortSignal) => AsyncIterable<string>
}

export type Handler = (plane: ApiPlane, call: Call) => Promise<Answer>
export type Method = 'GET' | 'PUT' | 'POST' | 'DELETE'

/** The chapters of the description of the API, in their order. */
export const groups = ['Plane', 'Resources', 'Insights', 'Commits', 'History', 'Tokens', 'Operation'] as const
export type Group = (typeof groups)[number]

/**
 * The callers that a route answers. `anyone`: also with `--anonymous none`. `readers`: every caller that may read.
 * `administrators`: nobody else.
 */
export type Access = 'anyone' | 'readers' | 'administrators'

/** The description of a route. The OpenAPI document and docs/api.md are written from it. */
export interface About {
  readonly group: Group
  readonly summary: string
  readonly access: Access
  /** The query parameters, each with its meaning. */
  readonly query?: Readonly<Record<string, string>>
  readonly body?: Shape
  /** The answers of requests that are not refused, by status. */
  readonly answers: Readonly<Record<number, { readonly what: string; readonly shape: Shape }>>
  /** Another path has the same answers and is preferred. */
  readonly aliasOf?: string
}

/** Registers a route. All routes share authentication, error objects and JSON formatting. */
export type Router = (method: Method, path: string, handler: Handler, about: About) => void

/** A route of the API. */
export interface ApiRoute {
  readonly method: string
  readonly path: string
}

/** A route of the API with its handler and its description. */
export interface DeclaredRoute extends ApiRoute {
  readonly method: Method
  readonly handler: Handler
  readonly about: About
}
