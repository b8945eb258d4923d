import { request } from 'node:http'
import type { ApiPlane } from '@zonemesh/plane/api/plane.ts'
import { type ApiConfig, startApi } from '@zonemesh/plane/api/server.ts'
import { createPlane } from './routes.ts'

interface Answered {
  readonly status: number
  readonly text: string
  // biome-ignore lint/suspicious/noExplicitAny: tests read fields of answers by name.
  readonly json: any
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
}

/** A caller that is not the admin of localhost. */
export const remote = { 'x-forwarded-for': '203.0.113.9' }

/** Serves the API of a plane on a free port of localhost. */
export async function serve(changes: Partial<ApiPlane> = {}, config: Partial<ApiConfig> = {}) {
  const plane = await createPlane(changes)
  const server = await startApi(plane, { host: '127.0.0.1', port: 0, ...config })
  const base = `http://127.0.0.1:${server.port}`
  const call = (method: string, path: string, body?: unknown, headers: Record<string, string> = {}) =>
    send(base, method, path, body, headers)
  return { plane, server, base, call, [Symbol.asyncDispose]: () => server.close() }
}

/** Sends one request on its own connection. Unlike `fetch`, it can set every header. */
export function send(
  base: string,
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Answered> {
  const text = body === undefined || typeof body === 'string' ? body : JSON.stringify(body)
  const { promise, resolve, reject } = Promise.withResolvers<Answered>()
  const type =
    text === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }
  const sent = request(base + path, { method, agent: false, headers: { ...type, ...headers } }, (response) => {
    let received = ''
    response.setEncoding('utf8')
    response.on('data', (part: string) => {
      received += part
    })
    response.on('end', () => {
      const isJson = /json/.test(response.headers['content-type'] ?? '')
      const json = isJson ? JSON.parse(received) : undefined
      resolve({ status: response.statusCode ?? 0, text: received, json, headers: response.headers })
    })
  })
  sent.on('error', reject)
  sent.end(text)
  return promise
}
