import 'reflect-metadata' // @peculiar/x509 needs it before it is loaded
import { X509Certificate } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { isIP } from 'node:net'
import { BasicConstraintsExtension, X509Certificate as ParsedCertificate } from '@peculiar/x509'
import { messageOf, type Result } from '@zonemesh/shared/base/base.ts'
import type { Log } from '@zonemesh/shared/env/log.ts'
import { renderBootstrap } from './bootstrap.ts'
import {
  type BootstrapRefusal,
  type BootstrapRequest,
  type BootstrapSubject,
  bootstrapRequestSchema,
} from './bootstrap-request.ts'

export interface BootstrapDeps {
  readonly log: Log
  /** Whether a proxy of this type needs a token. `check` and every stream verify it. */
  tokenRequired(proxyType: string): boolean
  /**
   * Validates the resource and looks up its mesh. Without a resource, the proxy must exist (otherwise 404 without a
   * body).
   */
  check(request: BootstrapRequest): Promise<Result<BootstrapSubject, BootstrapRefusal>>
}

export interface BootstrapConfig {
  /** The host for Envoy to connect to. Default: the host of the request, which the certificate must contain. */
  readonly xdsHost?: string
  readonly xdsPort: number
  /** PEM: the certificate of this server, and the authority that signed it (the same if self-signed). */
  readonly certificate: string
  readonly authority: string
}

/** A longer body is refused with 413 before it is parsed. */
const bodyBytesMax = 1024 * 1024
/** Limit of the bodies that are read at one time, before tokens are verified. Further requests are refused with 503. */
const bodiesMax = 64

/** The bodies that one server reads at the moment. */
export interface Bodies {
  reading: number
}

/** Answers the plain HTTP requests of port 5678: POST /bootstrap, and 404 for everything else. */
export async function answerHttp(
  deps: BootstrapDeps,
  config: BootstrapConfig,
  request: IncomingMessage,
  response: ServerResponse,
  bodies: Bodies,
): Promise<void> {
  const path = (request.url ?? '').split('?')[0]
  if (path !== '/bootstrap') return reply(response, 404, '404 page not found\n')
  if (request.method !== 'POST') return reply(response, 405, 'Method Not Allowed\n')
  try {
    const encoding = request.headers['content-encoding'] ?? 'identity'
    if (encoding !== 'identity') return refuseBody(response, 415, `expected no Content-Encoding, found ${encoding}\n`)
    if (bodies.reading >= bodiesMax) return refuseBody(response, 503, 'too many bootstrap requests are being read\n')
    const text = await readBody(request, bodies)
    if (text === undefined) return refuseBody(response, 413, `the body is larger than ${bodyBytesMax} bytes\n`)
    const body = parse(text)
    if (!body) return reply(response, 400, '')
    const answer = await answerBootstrap(deps, config, body, request.headers.host ?? '')
    if (!answer.ok) return reply(response, answer.error.status, answer.error.text)
    if (request.headers.accept === 'application/json') {
      reply(response, 200, JSON.stringify(wrap(answer.value)), 'application/json')
    } else reply(response, 200, answer.value.text, 'text/x-yaml')
  } catch (error) {
    // The client has disconnected during its request, so there is nothing to answer.
    if (request.destroyed && !request.complete) return
    deps.log.error({ error: messageOf(error) }, 'a bootstrap request failed')
    reply(response, 500, '')
  }
}

interface Rendered {
  readonly text: string
  readonly address: string
}

async function answerBootstrap(
  deps: BootstrapDeps,
  config: BootstrapConfig,
  request: BootstrapRequest,
  hostHeader: string,
): Promise<Result<Rendered, BootstrapRefusal>> {
  const refuse = (status: 400 | 422, text: string) => ({ ok: false, error: { status, text } }) as const
  if (deps.tokenRequired(request.proxyType) && !request.dataplaneToken && !request.dataplaneTokenPath) {
    return refuse(422, 'A token is required: pass one with --dataplane-token-file or --dataplane-token')
  }
  const dialled = hostOf(hostHeader)
  if (config.xdsHost === undefined && !names(config.certificate, dialled)) {
    return refuse(
      400,
      `A data plane proxy is trying to connect to the control plane as ${JSON.stringify(dialled)}, but the certificate of the control plane does not name it as a subject alternative name`,
    )
  }
  const checked = await deps.check(request)
  if (!checked.ok) return checked
  const authority = request.caCert || config.authority
  const trust = isAuthority(authority)
  if (!trust.ok) return refuse(400, trust.error)
  const target = {
    host: config.xdsHost ?? dialled,
    port: config.xdsPort,
    others: request.zonemesh?.addresses ?? [],
    authority,
  }
  const text = renderBootstrap(request, checked.value, target)
  return { ok: true, value: { text, address: checked.value.address ?? '' } }
}

const wrap = ({ text, address }: Rendered): unknown => ({
  bootstrap: Buffer.from(text).toString('base64'),
  kumaSidecarConfiguration: {
    networking: { corefileTemplate: null, address },
    metrics: { aggregate: [] },
  },
})

function parse(body: string): BootstrapRequest | undefined {
  try {
    return bootstrapRequestSchema.safeParse(JSON.parse(body)).data
  } catch {
    return undefined
  }
}

/** Reads a body. Returns undefined if it is too long, and leaves the rest unread. */
async function readBody(request: IncomingMessage, bodies: Bodies): Promise<string | undefined> {
  if (Number(request.headers['content-length'] ?? 0) > bodyBytesMax) return undefined
  const chunks: Buffer[] = []
  let bytes = 0
  bodies.reading += 1
  try {
    // A request without an encoding yields buffers. It must stay open after the loop for its response.
    for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      bytes += chunk.length
      if (bytes > bodyBytesMax) return undefined
      chunks.push(chunk)
    }
  } finally {
    bodies.reading -= 1
  }
  return Buffer.concat(chunks).toString('utf8')
}

/** The rest of the body is not read, so the connection is closed after the response. */
function refuseBody(response: ServerResponse, status: 413 | 415 | 503, text: string): void {
  response.setHeader('connection', 'close')
  reply(response, status, text)
}

/** The host part of a Host header, also of `[::1]:5678`. */
function hostOf(header: string): string {
  const bracketed = /^\[(.+)\](:\d+)?$/.exec(header)
  return bracketed?.[1] ?? header.replace(/:\d+$/, '')
}

function names(certificate: string, host: string): boolean {
  const parsed = new X509Certificate(certificate)
  return (isIP(host) ? parsed.checkIP(host) : parsed.checkHost(host)) !== undefined
}

function isAuthority(pem: string): Result<void, string> {
  try {
    const constraints = new ParsedCertificate(pem).getExtension(BasicConstraintsExtension)
    if (constraints && !constraints.ca) return { ok: false, error: 'The certificate given as CA is not one (CA:FALSE)' }
    return { ok: true, value: undefined }
  } catch (error) {
    return { ok: false, error: `The CA certificate cannot be read: ${messageOf(error)}` }
  }
}

function reply(response: ServerResponse, status: number, text: string, type = 'text/plain; charset=utf-8'): void {
  response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(text) }).end(text)
}
