import { createServer, request, type Server } from 'node:http'
import { resolve } from '@zonemesh/shared/dns/resolve.ts'

/** A small reverse proxy for the demo if nginx is not installed. It resolves a .mesh name for each request. */
export function startNameGateway(
  target: { readonly resolver: () => Promise<string>; readonly name: string; readonly port: number },
  host: string,
  port: number,
): Promise<Server> {
  const server = createServer(async (incoming, response) => {
    try {
      const [resolverHost = '', resolverPort = '53'] = (await target.resolver()).split(':')
      const answer = await resolve(
        target.name,
        { host: resolverHost, port: Number(resolverPort) },
        AbortSignal.timeout(3_000),
      )
      const [address] = answer.addresses
      if (address === undefined) throw new Error(`${target.name} has no address`)
      const headers = { ...incoming.headers, host: target.name }
      const outgoing = request(
        { host: address, port: target.port, path: incoming.url, method: incoming.method, headers },
        (upstream) => {
          response.writeHead(upstream.statusCode ?? 502, upstream.headers)
          upstream.pipe(response)
        },
      )
      outgoing.on('error', (error) => response.writeHead(502).end(`${error.message}\n`))
      incoming.pipe(outgoing)
    } catch (thrown) {
      response.writeHead(502).end(`${thrown instanceof Error ? thrown.message : String(thrown)}\n`)
    }
  })
  return new Promise((resolveStarted, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => resolveStarted(server))
  })
}
