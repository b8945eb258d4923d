import { request } from 'node:https'
import { connect } from 'node:tls'
import { ok } from '@zonemesh/shared/base/base.ts'
import { createVirtualClock } from '@zonemesh/shared/env/clock.ts'
import { silentLog } from '@zonemesh/shared/env/log.ts'
import { createSeededRandom } from '@zonemesh/shared/env/random.ts'
import { expect, test } from 'vitest'
import { createPair, type Pair } from '../../../plane/test/pki.ts'
import type { XdsDeps } from '../../src/xds/contract.ts'
import { startXdsServer, type XdsConfig } from '../../src/xds/server.ts'

const authority = await createPair({ authority: {} })
const pairOf = (name: string) => createPair({ names: [name, '127.0.0.1'], issuer: authority })
const pair = await pairOf('zone.example')

function start(changes: Partial<XdsConfig> = {}, own: Pair = pair) {
  const deps = {
    ...{ clock: createVirtualClock(), log: silentLog, random: createSeededRandom(1) },
    bootstrap: { log: silentLog, tokenRequired: () => false, check: async () => ok({ isBuiltinGateway: false }) },
  } as unknown as XdsDeps // no stream is opened
  const tls = { ...own, authority: authority.certificate }
  return startXdsServer(deps, { host: '127.0.0.1', port: 0, tls, ...changes })
}

/** The protocol that the server selects, and the name in its certificate. */
function shake(port: number, protocols: string[]): Promise<{ readonly protocol: unknown; readonly name: string }> {
  const { promise, resolve, reject } = Promise.withResolvers<{ protocol: unknown; name: string }>()
  const options = { port, host: '127.0.0.1', ca: authority.certificate, ALPNProtocols: protocols }
  const socket = connect(options, () => {
    resolve({ protocol: socket.alpnProtocol, name: String(socket.getPeerCertificate().subject.CN) })
    socket.destroy()
  })
  socket.on('error', reject)
  return promise
}

async function bootstrap(port: number): Promise<{ readonly status: number; readonly at: unknown }> {
  const { promise, resolve, reject } = Promise.withResolvers<{ status: number; at: unknown }>()
  const options = {
    port,
    host: '127.0.0.1',
    path: '/bootstrap',
    method: 'POST',
    ca: authority.certificate,
    agent: false,
  }
  const sent = request(options, (response) => {
    let text = ''
    response.setEncoding('utf8').on('data', (part: string) => {
      text += part
    })
    response.on('end', () => {
      const [cluster] = JSON.parse(text).staticResources.clusters
      const { address } = cluster.loadAssignment.endpoints[0].lbEndpoints[0].endpoint
      resolve({ status: response.statusCode ?? 0, at: address.socketAddress })
    })
  })
  sent.on('error', reject)
  sent.end(JSON.stringify({ mesh: 'default', name: 'web' }))
  return promise
}

test('P28 one port serves HTTP/1.1 to a peer that offers it, and gRPC to a peer that offers only h2', async () => {
  await using server = await start()
  expect(server.port).toBeGreaterThan(0)
  expect(server.live()).toEqual([])
  for (const [offered, selected] of [
    [['http/1.1'], 'http/1.1'],
    [['h2', 'http/1.1'], 'http/1.1'],
    [['h2'], 'h2'],
  ] as const)
    expect((await shake(server.port, [...offered])).protocol).toBe(selected)
  await expect(shake(server.port, ['spdy'])).rejects.toThrow()
  expect(await bootstrap(server.port)).toEqual({ status: 200, at: { address: '127.0.0.1', portValue: server.port } })
})

test('P28 the bootstrap has the configured host and port, if there are any', async () => {
  await using server = await start({ xdsHost: 'public.example', xdsPort: 443 })
  expect((await bootstrap(server.port)).at).toEqual({ address: 'public.example', portValue: 443 })
})

test('P28 a renewed certificate is used for new connections', async () => {
  await using server = await start()
  expect((await shake(server.port, ['h2'])).name).toBe('zone.example')
  server.setCertificate(await pairOf('other.example'))
  expect((await shake(server.port, ['h2'])).name).toBe('other.example')
})

test('P28 a port in use rejects the start, and a closed server accepts no connection', async () => {
  const server = await start()
  await expect(start({ port: server.port })).rejects.toThrow('choose another with --proxy-port N')
  await server[Symbol.asyncDispose]()
  await expect(shake(server.port, ['h2'])).rejects.toThrow('ECONNREFUSED')
})
