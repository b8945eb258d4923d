import type { FastifyRequest } from 'fastify'
import type { User } from './identity.ts'

/** One request, as passed to handlers. */
export interface Call {
  readonly user: User
  readonly params: Readonly<Record<string, string>>
  readonly query: URLSearchParams
  readonly body: unknown
  readonly request: FastifyRequest
  /** Aborts when the caller has its response, or has closed its connection. */
  untilClosed(): AbortSignal
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

export type Handler = (call: Call) => Promise<Answer>
export type Method = 'GET' | 'PUT' | 'POST' | 'DELETE'
/** Registers a route. All routes share authentication, error objects and JSON formatting. */
export type Router = (method: Method, path: string, handler: Handler, options?: { readonly public?: boolean }) => void

/** A route of the API. */
export interface ApiRoute {
  readonly method: Method
  readonly path: string
}
