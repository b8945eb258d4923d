import { type Agent, type RequestOptions, request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'

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
  /** Over TLS: the name in it, and whom to trust. */
  readonly tls?: { readonly servername: string; readonly ca: string }
}

/** One request, exactly as it is said: no redirect is followed and no path is made nicer. */
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
