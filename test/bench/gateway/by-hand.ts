import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createRoot, createWorkloadCertificate, lifetime } from '@zonemesh/plane/authority/x509.ts'

const local = '127.0.0.1'
const typed = (name: string, type: string, config: object = {}) => ({
  name,
  typed_config: { '@type': `type.googleapis.com/${type}`, ...config },
})
const address = (port: number) => ({ socket_address: { address: local, port_value: port } })
const cluster = (port: number, more: object = {}) => ({
  name: 'next',
  type: 'STATIC',
  load_assignment: {
    cluster_name: 'next',
    endpoints: [{ lb_endpoints: [{ endpoint: { address: address(port) } }] }],
  },
  ...more,
})
const http = (routes: readonly object[], more: object = {}, filters: readonly object[] = []) =>
  typed(
    'envoy.filters.network.http_connection_manager',
    'envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
    {
      stat_prefix: 'by_hand',
      route_config: { virtual_hosts: [{ name: 'all', domains: ['*'], routes }] },
      http_filters: [...filters, typed('envoy.filters.http.router', 'envoy.extensions.filters.http.router.v3.Router')],
      ...more,
    },
  )
const onward = [{ match: { prefix: '/' }, route: { cluster: 'next' } }]
const inlined = (text: string) => ({ inline_string: text })

/** An Envoy that runs one static listener; its configuration is what a person would write for this. */
export async function startByHand(
  envoy: string,
  folder: string,
  name: string,
  listener: object,
  clusters: readonly object[],
) {
  const file = join(folder, `${name}.json`)
  writeFileSync(file, JSON.stringify({ static_resources: { listeners: [listener], clusters } }), { mode: 0o600 })
  const child = spawn(envoy, ['-c', file, '--concurrency', '1', '--use-dynamic-base-id', '--log-level', 'error'], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  process.once('exit', () => child.kill('SIGKILL'))
  return {
    async stop(): Promise<void> {
      if (child.exitCode !== null) return
      child.kill('SIGKILL')
      await once(child, 'exit')
    },
  }
}
type Running = Awaited<ReturnType<typeof startByHand>>

/** A service that is faster than everything before it. */
export const startService = (envoy: string, folder: string, port: number): Promise<Running> =>
  startByHand(
    envoy,
    folder,
    'service',
    {
      address: address(port),
      filter_chains: [
        { filters: [http([{ match: { prefix: '/' }, direct_response: { status: 200, body: inlined('ok') } }])] },
      ],
    },
    [],
  )

/** What Envoy's own page on edges asks for, and Kuma's gateways have. */
const edge = {
  use_remote_address: true,
  normalize_path: true,
  merge_slashes: true,
  path_with_escaped_slashes_action: 'UNESCAPE_AND_REDIRECT',
  request_headers_timeout: '0.5s',
  stream_idle_timeout: '5s',
  common_http_protocol_options: { idle_timeout: '300s', headers_with_underscores_action: 'REJECT_REQUEST' },
}
const compressor = typed('gzip', 'envoy.extensions.filters.http.compressor.v3.Compressor', {
  compressor_library: typed('gzip', 'envoy.extensions.compression.gzip.compressor.v3.Gzip'),
  response_direction_config: { disable_on_etag_header: true },
})
/** Who called is told to the service, and only who may is let in. */
const identity = { forward_client_cert_details: 'SANITIZE_SET', set_current_client_cert_details: { uri: true } }
const permission = typed('envoy.filters.http.rbac', 'envoy.extensions.filters.http.rbac.v3.RBAC', {
  rules: { policies: { all: { permissions: [{ any: true }], principals: [{ any: true }] } } },
})

/**
 * Gateway, ingress and sidecar with mutual TLS from end to end: bare, as someone would write them who needs nothing else, or with
 * the duties that ours have.
 */
export async function startChainByHand(
  envoy: string,
  folder: string,
  how: 'bare' | 'dutiful',
  ports: { gateway: number; ingress: number; sidecar: number; service: number },
) {
  const life = lifetime(Date.now(), 1)
  const root = await createRoot('by hand', life)
  const [client, server] = await Promise.all(
    ['edge', 'service'].map((name) => createWorkloadCertificate(root, [`spiffe://hand/${name}`], life)),
  )
  const tls = (one: { certificate: string; key: string } | undefined) => ({
    tls_certificates: [{ certificate_chain: inlined(one?.certificate ?? ''), private_key: inlined(one?.key ?? '') }],
    validation_context: { trusted_ca: inlined(root.certificate) },
  })
  const upstream = typed(
    'envoy.transport_sockets.tls',
    'envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext',
    {
      sni: 'service',
      common_tls_context: tls(client),
    },
  )
  const downstream = typed(
    'envoy.transport_sockets.tls',
    'envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext',
    {
      require_client_certificate: true,
      common_tls_context: tls(server),
    },
  )
  const inspector = typed(
    'envoy.filters.listener.tls_inspector',
    'envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector',
  )
  const proxy = typed('envoy.filters.network.tcp_proxy', 'envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy', {
    stat_prefix: 'by_hand',
    cluster: 'next',
  })
  const running = [
    await startByHand(
      envoy,
      folder,
      `${how}-sidecar`,
      {
        address: address(ports.sidecar),
        filter_chains: [
          {
            transport_socket: downstream,
            filters: [how === 'bare' ? http(onward) : http(onward, identity, [permission])],
          },
        ],
      },
      [cluster(ports.service)],
    ),
    await startByHand(
      envoy,
      folder,
      `${how}-ingress`,
      {
        address: address(ports.ingress),
        listener_filters: [inspector],
        filter_chains: [{ filter_chain_match: { server_names: ['service'] }, filters: [proxy] }],
      },
      [cluster(ports.sidecar)],
    ),
    await startByHand(
      envoy,
      folder,
      `${how}-gateway`,
      {
        address: address(ports.gateway),
        filter_chains: [{ filters: [how === 'bare' ? http(onward) : http(onward, edge, [compressor])] }],
      },
      [cluster(ports.ingress, { transport_socket: upstream })],
    ),
  ]
  return {
    async stop(): Promise<void> {
      for (const one of running) await one.stop()
    },
  }
}
