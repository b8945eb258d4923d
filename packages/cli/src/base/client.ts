import { readFileSync } from 'node:fs'
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import { bodyBytesMax } from '@zonemesh/plane/api/limits.ts'
import { option, text } from '@zonemesh/plane/config/options.ts'
import { adminProof } from '@zonemesh/shared/auth/admin-proof.ts'
import { messageOf } from '@zonemesh/shared/base/base.ts'
import { parseTraceparent } from '@zonemesh/shared/env/trace.ts'
import { certificateReason } from '@zonemesh/shared/transport/certificates.ts'
import { findAdminKey } from './admin-keys.ts'
import { CommandError } from './command.ts'
import { defaultAddress, type Target, type TargetValues, targetOf } from './target.ts'

/** The options that locate a control plane's API. Every command that calls an API has them. */
export const clientOptions = {
  address: option(text.optional(), 'the API of a control plane', {
    placeholder: 'URL',
    shownDefault: `the global that \`zonemesh up\` runs in this folder, else the current context, else ${defaultAddress}`,
  }),
  context: option(text.optional(), 'a control plane that `zonemesh context add` has stored, with its credentials', {
    placeholder: 'NAME',
  }),
  tokenFile: option(text.optional(), 'file with a user token', { placeholder: 'FILE' }),
  adminKeyFile: option(
    text.optional(),
    'the admin.key in the data folder of a control plane, in place of a token; for one that the same user runs on this machine it is found by the port',
    { placeholder: 'FILE' },
  ),
  token: option(text.optional(), 'a user token', { placeholder: 'TOKEN', secret: true }),
  caCertFile: option(text.optional(), 'the authority to trust for an https address (PEM)', { placeholder: 'FILE' }),
}

/** The plane did not answer: it may not run yet. */
export class UnreachableError extends CommandError {}

export interface Reply {
  readonly status: number
  readonly text: string
  readonly json: unknown
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
}

export interface Client {
  readonly address: string
  call(method: string, path: string, body?: unknown): Promise<Reply>
  /** Like `call`, but an error response becomes a CommandError with all details of the response. */
  need(method: string, path: string, body?: unknown): Promise<Reply>
  /** The bytes of a stream of events. An error response becomes a CommandError. Ends when the signal aborts. */
  stream(path: string, signal: AbortSignal): Promise<AsyncIterable<Buffer>>
}

export function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (thrown) {
    throw new CommandError(`cannot read ${path}: ${messageOf(thrown)}`)
  }
}

/** How much of the text of a page is shown. */
const textShown = 120

/** The title, detail and fields of an error object; the text of any other response. */
export function errorLines(reply: Reply): string {
  const { json } = reply
  const of = (key: string): unknown => (json !== null && typeof json === 'object' ? Reflect.get(json, key) : undefined)
  if (typeof of('title') !== 'string') return `(${reply.status}) ${reply.text.trim()}`
  const parameters = of('invalid_parameters')
  const lines = Array.isArray(parameters)
    ? parameters.map(
        (one: { field?: string; reason?: string; choices?: string[] }) =>
          `\n  ${one.field}: ${one.reason}${one.choices?.length ? ` (one of: ${one.choices.join(', ')})` : ''}`,
      )
    : []
  return `${of('title')}: ${of('detail')}${lines.join('')}`
}

/** An HTTP client for the API of one control plane. */
export function createClient(given: TargetValues, environment: NodeJS.ProcessEnv = process.env): Client {
  const values = targetOf(given)
  const where = placeOf(values)
  if (!URL.canParse(values.address))
    throw new CommandError(
      `${values.chosenBy ?? '--address'}: expected a URL such as ${defaultAddress}, found "${values.address}"`,
      2,
    )
  const base = new URL(values.address)
  const token = values.token ?? (values.tokenFile === undefined ? undefined : readText(values.tokenFile).trim())
  // A header carries no other characters.
  if (token !== undefined && !/^[\x21-\x7e]+$/.test(token))
    throw new CommandError(
      `${values.token === undefined ? values.tokenFile : given.token === undefined ? values.chosenBy : '--token'}: expected a token in one line of ASCII characters`,
      2,
    )
  const adminKey = token === undefined ? adminKeyOf(values, base) : undefined
  const ca = values.caCertFile === undefined ? undefined : readText(values.caCertFile)
  const isTls = base.protocol === 'https:'
  const start = isTls ? httpsRequest : httpRequest
  // Idle connections are unreferenced, so they do not keep a finished command alive.
  // A script that is traced sets TRACEPARENT, so that its trace continues in the planes.
  const traceparent = parseTraceparent(environment['TRACEPARENT'])
  const agent = new (isTls ? HttpsAgent : HttpAgent)({ keepAlive: true })

  const request = (method: string, path: string, accept: string, payload: string | undefined, proofKey?: string) => {
    const url = new URL(base.pathname.replace(/\/$/, '') + path, base)
    const proven = { method, host: url.host, path: url.pathname + url.search }
    const type =
      payload === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(payload) }
    return start(url, {
      method,
      headers: {
        accept,
        ...type,
        ...(traceparent === undefined ? {} : { traceparent }),
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(proofKey === undefined ? {} : { authorization: adminProof(proofKey, Date.now(), proven) }),
      },
      timeout: 330_000,
      agent,
      ...(ca === undefined ? {} : { ca }),
    })
  }
  const refused = async (thrown: Error) =>
    new UnreachableError(
      `cannot reach the control plane at ${where}: ${await reasonOf(thrown, base, values.caCertFile, ca)}`,
    )

  const send = (method: string, path: string, body: unknown, proofKey: string | undefined): Promise<Reply> =>
    new Promise((resolve, reject) => {
      const payload = body === undefined ? undefined : JSON.stringify(body)
      const bytes = Buffer.byteLength(payload ?? '')
      // A server that rejects a body early may close the connection before the client reads its response.
      if (bytes > bodyBytesMax)
        throw new CommandError(
          `the request is ${bytes} bytes, larger than ${bodyBytesMax} bytes, the most that a control plane takes at once`,
        )
      const outgoing = request(method, path, 'application/json', payload, proofKey)
      outgoing.on('response', (incoming) => {
        replyOf(where, incoming).then(resolve, reject)
      })
      outgoing.on('timeout', () => outgoing.destroy(new Error('no answer within the time limit')))
      outgoing.on('error', (thrown) => void refused(thrown).then(reject))
      outgoing.end(payload)
    })

  const open = (path: string, signal: AbortSignal, proofKey: string | undefined): Promise<IncomingMessage> =>
    new Promise((resolve, reject) => {
      const outgoing = request('GET', path, 'text/event-stream, application/json', undefined, proofKey)
      signal.addEventListener('abort', () => outgoing.destroy(), { once: true })
      outgoing.setTimeout(silenceMs, () => outgoing.destroy(new Error(`nothing for ${silenceMs / 1000} s`)))
      outgoing.on('response', resolve)
      outgoing.on('error', (thrown) => void refused(thrown).then(reject))
      outgoing.end()
    })

  /** What `attempt` gives with the key, or without it: a key found by port may belong to a plane that had the port before. */
  async function withKey<Answer>(attempt: (key?: string) => Promise<Answer>, statusOf: (answer: Answer) => unknown) {
    const answer = await attempt(adminKey?.key)
    const isForeign = statusOf(answer) === 401 && adminKey?.isGiven === false
    return isForeign ? attempt() : answer
  }
  const call: Client['call'] = (method, path, body) =>
    withKey(
      (key) => send(method, path, body, key),
      (reply) => reply.status,
    )

  return {
    address: values.address,
    call,
    async stream(path, signal) {
      const incoming = await withKey(
        (key) => open(path, signal, key),
        (response) => response.statusCode,
      )
      if (incoming.headers['content-type']?.startsWith('text/event-stream')) return incoming
      throw new CommandError(errorLines(await replyOf(where, incoming)))
    },
    async need(method, path, body) {
      const reply = await call(method, path, body)
      if (reply.status >= 400) throw new CommandError(`${isOfContext(values) ? `${where}: ` : ''}${errorLines(reply)}`)
      return reply
    },
  }
}

const isOfContext = ({ chosenBy }: Target): boolean => chosenBy?.startsWith('context ') === true

/** The address of a control plane, with what has chosen it. */
const placeOf = ({ address, chosenBy }: Target): string =>
  chosenBy === undefined ? address : `${address} (${chosenBy})`

/** The whole response. Throws a CommandError if it does not come from a control plane. */
async function replyOf(address: string, incoming: IncomingMessage): Promise<Reply> {
  const chunks: Buffer[] = []
  for await (const chunk of incoming) chunks.push(Buffer.from(chunk))
  const text = Buffer.concat(chunks).toString('utf8')
  const reply = { status: incoming.statusCode ?? 0, text, json: parse(text), headers: incoming.headers }
  const doubt = strangeness(address, reply)
  if (doubt !== undefined) throw new CommandError(doubt)
  return reply
}

/** A stream of events shows every 15 s that it is open. */
const silenceMs = 60_000

async function reasonOf(cause: Error, base: URL, caCertFile: string | undefined, ca: string | undefined) {
  if ('code' in cause && cause.code === 'EPROTO')
    return 'the port does not answer with TLS; the API over TLS has port 5682 by default, and http:// port 5681'
  const remedy =
    caCertFile === undefined
      ? 'give the authority of the control plane, the ca.crt in its data folder, with --ca-cert-file'
      : `check --ca-cert-file ${caCertFile}, and that --address is the control plane of this authority`
  const host = base.hostname.replace(/^\[|\]$/g, '')
  const expected = { host, port: Number(base.port || 443), authorityPem: ca, remedy }
  return (await certificateReason(cause, expected, new AbortController().signal)) || 'connection refused'
}

/** The key from the option, else the key that a plane of this user stored. */
function adminKeyOf({ adminKeyFile }: Target, base: URL) {
  if (adminKeyFile !== undefined) return { key: readText(adminKeyFile).trim(), isGiven: true }
  const key = findAdminKey(base)
  return key === undefined ? undefined : { key, isGiven: false }
}

/** Why a reply does not come from a control plane: these answer with JSON, or with plain text. */
function strangeness(address: string, { status, text, json, headers }: Reply): string | undefined {
  const type = String(headers['content-type'] ?? 'no content type').split(';')[0]
  const isJson = type === 'application/json'
  if (isJson ? json !== undefined : type === 'text/plain') return undefined
  const words = text
    .replace(/<(script|style)[\s\S]*?<\/\1>/gi, ' ')
    .replace(/<[^>]*>/g, ' ')
    .replace(/\s+/g, ' ')
    .trim()
  const shown = words.length > textShown ? `${words.slice(0, textShown)}…` : words
  return `${address} does not look like a control plane: it answered ${status} with ${type}${isJson ? ' that is not JSON' : ''}${shown === '' ? '' : `, "${shown}"`}; check --address, and any proxy in between`
}

/** The text of a reply. Throws if it is JSON: something else has answered. */
export function requireText(client: Pick<Client, 'address'>, { text, headers }: Reply): string {
  if (headers['content-type']?.includes('json'))
    throw new CommandError(
      `${client.address} does not look like a control plane of this version: it answered with JSON, expected text; check --address`,
    )
  return text
}

/** Throws if the JSON of a reply lacks a field of the plane's own type: something else has answered. */
export function requireFields(client: Pick<Client, 'address'>, { json }: Reply, fields: readonly string[]): void {
  const isObject = json !== null && typeof json === 'object'
  const missing = fields.find((field) => !isObject || Reflect.get(json, field) === undefined)
  if (missing !== undefined)
    throw new CommandError(
      `${client.address} does not look like a control plane of this version: its answer has no "${missing}"; check --address`,
    )
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
