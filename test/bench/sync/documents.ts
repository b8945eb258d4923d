/** Routes of gateways that nobody runs: what travels is theirs, and nothing is compiled. `round` tells one version from the next. */
export const routes = (from: number, count: number, round: number): object[] =>
  Array.from({ length: count }, (_unused, index) => ({
    type: 'MeshGatewayRoute',
    mesh: 'default',
    name: `load-${from + index}`,
    selectors: [{ match: { 'kuma.io/service': `load-gateway-${(from + index) % 10}` } }],
    conf: {
      http: {
        hostnames: [`load-${from + index}.example`],
        rules: [
          {
            matches: [{ path: { match: 'PREFIX', value: `/round-${round}` } }],
            backends: [{ destination: { 'kuma.io/service': `load-${(from + index) % 100}_bench_svc_80` } }],
          },
        ],
      },
    },
  }))

/** One small change. */
export const timeout = (name: string, seconds: number): object => ({
  type: 'Timeout',
  mesh: 'default',
  name,
  sources: [{ match: { 'kuma.io/service': '*' } }],
  destinations: [{ match: { 'kuma.io/service': 'nobody_bench_svc_80' } }],
  conf: { connectTimeout: `${seconds}s` },
})
