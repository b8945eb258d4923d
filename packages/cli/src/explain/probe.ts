import { request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import { connect } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { Request } from '@zonemesh/core/explain/request.ts'
import { messageOf } from '@zonemesh/shared/base/base.ts'

/** An attempt on the network, and its result. */
export interface Probe {
  readonly what: string
  readonly ok: boolean
  readonly text: string
}

const limitMs = 3_000

/** Checks whether an address accepts connections. */
export function probeConnect(what: string, host: string, port: number): Promise<Probe> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: limitMs })
    const end = (ok: boolean, text: string) => {
      socket.destroy()
      resolve({ what, ok, text })
    }
    socket.on('connect', () => end(true, `${host}:${port} takes connections`))
    socket.on('timeout', () => end(false, `${host}:${port} did not answer within ${limitMs / 1_000} s`))
    socket.on('error', (error) => end(false, `${host}:${port}: ${messageOf(error)}`))
  })
}

/** Checks the names and the expiry of a certificate, as a client sees them. */
export function probeTls(host: string, port: number, servername: string, nowMs: number): Promise<Probe> {
  const what = `TLS as ${servername}`
  return new Promise((resolve) => {
    // The authority is not checked, because only the client's trust store can decide that.
    const socket = connectTls({ host, port, servername, rejectUnauthorized: false, timeout: limitMs }, () => {
      const { valid_to: until, subjectaltname: names = '' } = socket.getPeerCertificate()
      const over = new Date(until).getTime() <= nowMs
      const problem = over
        ? 'it has expired'
        : socket.authorizationError?.toString().includes('ALTNAME')
          ? 'it is for other names'
          : ''
      end(
        problem === '',
        `certificate for ${names || 'no name'}, until ${until}${problem === '' ? '' : `: ${problem}`}`,
      )
    })
    const end = (ok: boolean, text: string) => {
      socket.destroy()
      resolve({ what, ok, text })
    }
    socket.on('timeout', () => end(false, `no handshake within ${limitMs / 1_000} s`))
    socket.on('error', (error) => end(false, messageOf(error)))
  })
}

/** Sends the request to the gateway. Responses that a gateway sends without a backend count as failures. */
export function probeRequest(host: string, request: Request): Promise<Probe> {
  const { scheme, port, path, query, method, headers } = request
  const what = `${method} ${scheme}://${request.host}${path}`
  const search = query.size > 0 ? `?${query}` : ''
  const options = {
    host,
    port,
    method,
    path: path + search,
    headers: { ...Object.fromEntries(headers), host: request.host },
    timeout: limitMs,
  }
  return new Promise((resolve) => {
    const outgoing =
      scheme === 'https'
        ? requestHttps({ ...options, servername: request.host, rejectUnauthorized: false })
        : requestHttp(options)
    outgoing.on('response', (incoming) => {
      incoming.resume()
      const status = incoming.statusCode ?? 0
      const failed = [403, 404, 500, 502, 503, 504].includes(status)
      incoming.on('end', () => resolve({ what, ok: !failed, text: `answered ${status}` }))
    })
    outgoing.on('timeout', () => outgoing.destroy(new Error(`no answer within ${limitMs / 1_000} s`)))
    outgoing.on('error', (error) => resolve({ what, ok: false, text: messageOf(error) }))
    outgoing.end()
  })
}
