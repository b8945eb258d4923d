import { type Agent, type RequestOptions, request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import { connect } from 'node:net'
import { connect as connectTls } from 'node:tls'

export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

export interface Question {
  readonly host: string
  readonly port: number
  readonly method: string
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  /** For TLS: the server name, and the authority to trust. */
  readonly tls?: { readonly servername: string; readonly ca: string }
}

/** Sends one request unchanged: no redirect is followed and no path is normalised. */
export function ask(question: Question): Promise<Answer> {
  const { host, port, method, path, headers, tls } = question
  const options: RequestOptions = {
    host,
    port,
    method,
    path,
    headers: { ...headers, connection: 'close' },
    timeout: 5_000,
  }
  return new Promise((resolve, reject) => {
    const outgoing = tls
      ? requestHttps({ ...options, servername: tls.servername, ca: tls.ca, agent: false })
      : requestHttp({ ...options, agent: false as unknown as Agent })
    outgoing.on('response', (incoming) => {
      const chunks: Buffer[] = []
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
      incoming.on('error', reject)
      incoming.on('end', () =>
        resolve({
          status: incoming.statusCode ?? 0,
          headers: Object.fromEntries(
            Object.entries(incoming.headersDistinct).map(([name, values = []]) => [name, values.join(',')]),
          ),
          body: Buffer.concat(chunks).toString('utf8'),
        }),
      )
    })
    outgoing.on('timeout', () => outgoing.destroy(new Error('no answer within 5 s')))
    outgoing.on('error', reject)
    outgoing.end()
  })
}

/** Sends bytes on a new connection and returns the response; undefined if the connection is closed. */
export function askStream(
  port: number,
  tls: { readonly servername: string; readonly ca: string } | undefined,
): Promise<{ readonly answer: unknown; readonly certificate: string }> {
  return new Promise((resolve) => {
    let text = ''
    let certificate = ''
    const place = { host: '127.0.0.1', port, timeout: 5_000 }
    // The cases themselves check the name of the certificate.
    const socket = tls ? connectTls({ ...place, ...tls, checkServerIdentity: () => undefined }) : connect(place)
    const end = () => {
      socket.destroy()
      resolve({ answer: text === '' ? undefined : parsed(text), certificate })
    }
    socket.on('data', (bytes: Buffer) => {
      text += bytes.toString('utf8')
    })
    socket.on(tls ? 'secureConnect' : 'connect', () => {
      if ('getPeerCertificate' in socket) certificate = socket.getPeerCertificate().subjectaltname ?? ''
      socket.write('who are you?')
    })
    socket.on('end', end).on('error', end).on('timeout', end).on('close', end)
  })
}

/** Parses JSON; any other text is returned unchanged. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}
