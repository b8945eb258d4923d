import { createServer, type Server } from 'node:http'

/** The identity that the demo's service puts into its responses. */
export interface EchoIdentity {
  readonly service: string
  readonly zone: string
  readonly version: string
}

/** A service that answers every request with its identity, after what `held` returns. */
export function startEcho(
  identity: EchoIdentity,
  host: string,
  port: number,
  held: () => Promise<void> | undefined = () => undefined,
): Promise<Server> {
  const server = createServer(async (request, response) => {
    request.resume()
    await held()
    const { headers } = request
    const body = {
      ...identity,
      method: request.method,
      path: request.url,
      host: headers.host,
      route: headers['x-demo-route'],
    }
    response.writeHead(200, {
      'content-type': 'application/json',
      'x-zone': identity.zone,
      'x-version': identity.version,
    })
    response.end(`${JSON.stringify(body)}\n`)
  })
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => resolve(server))
  })
}
