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
  /** True if a proxy of this type must show a token. `check` judges it, and so does every stream. */
  tokenRequired(proxyType: string): boolean
  /** Decodes and validates the resource, and looks up its mesh; without a resource the entity must exist (404, empty). */
  check(request: BootstrapRequest): Promise<Result<BootstrapSubject, BootstrapRefusal>>
}

export interface BootstrapConfig {
  /** What Envoy is told to connect to; default: the host that the request was sent to, which the certificate must name. */
  readonly xdsHost?: string
  readonly xdsPort: number
  /** PEM: the certificate of this server, and the authority that signed it (the same if self-signed). */
  readonly certificate: string
  readonly authority: string
}

const bodyBytesMax = 4 * 1024 * 1024

/** Answers the plain HTTP requests of port 5678: POST /bootstrap, and 404 for everything else. */
export async function answerHttp(
  deps: BootstrapDeps,
  config: BootstrapConfig,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const path = (request.url ?? '').split('?')[0]
  if (path !== '/bootstrap') return reply(response, 404, '404 page not found\n')
  if (request.method !== 'POST') return reply(response, 405, 'Method Not Allowed\n')
  try {
    const body = parse(await readBody(request))
    if (!body) return reply(response, 400, '')
    const answer = await answerBootstrap(deps, config, body, request.headers.host ?? '')
    if (!answer.ok) return reply(response, answer.error.status, answer.error.text)
    if (request.headers.accept === 'application/json') {
      reply(response, 200, JSON.stringify(wrap(answer.value)), 'application/json')
    } else reply(response, 200, answer.value.text, 'text/x-yaml')
  } catch (error) {
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
  const target = { host: config.xdsHost ?? dialled, port: config.xdsPort, authority }
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

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    // a request without an encoding yields buffers
    bytes += chunk.length
    if (bytes > bodyBytesMax) return ''
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
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
    if (constraints && !constraints.ca)
      return { ok: false, error: 'The certificate given as CA says that it is not one (CA:FALSE)' }
    return { ok: true, value: undefined }
  } catch (error) {
    return { ok: false, error: `The CA certificate cannot be read: ${messageOf(error)}` }
  }
}

function reply(response: ServerResponse, status: number, text: string, type = 'text/plain; charset=utf-8'): void {
  response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(text) }).end(text)
}
