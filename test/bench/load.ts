import type { Client } from '@zonemesh/cli/base/client.ts'

export const services = 100

/** Writes Dataplanes of a hundred services to the zone, with no proxies behind them. */
export async function storeDataplanes(zone: Client, count: number, mesh: string): Promise<void> {
  const documents = Array.from({ length: count }, (_unused, index) => ({
    type: 'Dataplane',
    mesh,
    name: `load-${index}`,
    networking: {
      address: `10.${(index >> 16) & 255}.${(index >> 8) & 255}.${index & 255}`,
      inbound: [
        {
          port: 8080,
          servicePort: 80,
          tags: {
            'kuma.io/service': `load-${index % services}_bench_svc_80`,
            'kuma.io/protocol': 'http',
            version: 'v1',
          },
        },
      ],
    },
  }))
  for (let at = 0; at < documents.length; at += 250)
    await zone.need('POST', '/_commit', { documents: documents.slice(at, at + 250), intent: 'load' })
}

/** Writes routes of gateways that do not run. */
export async function storeRoutes(global: Client, count: number, mesh: string): Promise<void> {
  const documents = Array.from({ length: count }, (_unused, index) => ({
    type: 'MeshGatewayRoute',
    mesh,
    name: `load-${index}`,
    selectors: [{ match: { 'kuma.io/service': `load-gateway-${index % 10}` } }],
    conf: {
      http: {
        hostnames: [`load-${index}.example`],
        rules: [
          {
            matches: [{ path: { match: 'PREFIX', value: '/' } }],
            backends: [{ destination: { 'kuma.io/service': `load-${index % services}_bench_svc_80` } }],
          },
        ],
      },
    },
  }))
  await global.need('POST', '/_commit', { documents, intent: 'load' })
}
