import type { BootstrapRequest, BootstrapSubject } from './bootstrap-request.ts'

export interface BootstrapTarget {
  /** The host of this zone for Envoy: the host that the proxy dialled, or the configured one. */
  readonly host: string
  readonly port: number
  /** Other replicas of this zone. */
  readonly others?: readonly { readonly host: string; readonly port: number }[]
  /** The authority that Envoy must trust, in PEM. */
  readonly authority: string
}

const isIp = (host: string): boolean => /^[\d.]+$/.test(host) || host.includes(':')

/**
 * Renders the Envoy bootstrap of one proxy as JSON, which is YAML too. It has Kuma's shape, so that kuma-dp accepts
 * it. The stream is always delta. h2 is the only ALPN protocol, because port 5678 distinguishes gRPC from HTTP/1.1 by
 * ALPN. Kuma's own stats tags are left out: matching their patterns costs Envoy 20 ms per new cluster.
 */
export function renderBootstrap(request: BootstrapRequest, subject: BootstrapSubject, target: BootstrapTarget): string {
  return JSON.stringify({
    node: {
      id: `${request.mesh}.${request.name}`,
      cluster: request.proxyType === 'dataplane' ? (subject.service ?? 'unknown') : request.proxyType,
      metadata: metadataOf(request, subject),
    },
    admin: {
      accessLog: [
        {
          name: 'envoy.access_loggers.file',
          typedConfig: { '@type': typeOf('access_loggers.file.v3.FileAccessLog'), path: '/dev/null' },
        },
      ],
      address: adminAddress(request, subject),
    },
    defaultRegexEngine: {
      name: 'envoy.regex_engines.google_re2',
      typedConfig: { '@type': typeOf('regex_engines.v3.GoogleRE2') },
    },
    dynamicResources: {
      adsConfig: {
        apiType: 'DELTA_GRPC',
        transportApiVersion: 'V3',
        setNodeOnFirstMessageOnly: true,
        grpcServices: [adsService(request)],
      },
      cdsConfig: { ads: {}, resourceApiVersion: 'V3', initialFetchTimeout: '0s' },
      ldsConfig: { ads: {}, resourceApiVersion: 'V3', initialFetchTimeout: '0s' },
    },
    layeredRuntime: { layers: runtimeLayers(subject) },
    overloadManager: overloadManager(request),
    staticResources: {
      clusters: [adsCluster(target), ...(isKumaDp(request) ? [accessLogSink(request)] : [])],
      secrets: [trust(target)],
    },
  })
}

const typeOf = (name: string): string => `type.googleapis.com/envoy.extensions.${name}`

/** kuma-dp always sends its version; our own data plane sends `zonemesh`. */
const isKumaDp = (request: BootstrapRequest): boolean => !request.zonemesh

/** A socket path in the work folder, cut like in kuma-dp to stay below the limit of Unix sockets. */
const socketPath = (workdir: string, name: string): string => `${`${workdir}/${name}`.slice(0, 98)}.sock`

function metadataOf(request: BootstrapRequest, subject: BootstrapSubject): Record<string, unknown> {
  const own = request.zonemesh
  // JSON leaves out the fields that are undefined.
  return {
    'dataplane.proxyType': request.proxyType,
    'dataplane.resource': request.dataplaneResource || undefined,
    'dataplane.admin.port': String(own?.adminPort ?? subject.adminPort ?? 9901),
    'dataplane.admin.address': '127.0.0.1',
    'dataplane.admin.socketPath': request.workdir ? socketPath(request.workdir, 'kuma-envoy-admin') : undefined,
    'dataplane.dns.port': request.dnsPort ? String(request.dnsPort) : undefined,
    'dataplane.readinessReporter.port': request.readinessPort ? String(request.readinessPort) : undefined,
    'dataplane.appProbeProxy.enabled': request.appProbeProxyDisabled ? 'true' : undefined,
    'spireAgent.socketPath': request.spireResources?.socketPath ?? '',
    features: request.features ?? [],
    dynamicMetadata: request.dynamicMetadata ?? undefined,
    otelEnvInventory: request.otelEnv ?? undefined,
    transparentProxy: request.dataplaneConfig ?? undefined,
    ipv6Enabled: request.ipv6Enabled ?? undefined,
    metricsCertPath: request.metricsResources?.certPath ?? '',
    metricsKeyPath: request.metricsResources?.keyPath ?? '',
    systemCaPath: request.systemCaPath,
    version: request.version ?? undefined,
    workdir: request.workdir,
    'zonemesh.part': own?.part,
    'zonemesh.canBindPort80': own?.canBindPort80,
  }
}

function adminAddress(request: BootstrapRequest, subject: BootstrapSubject): unknown {
  const port = request.zonemesh?.adminPort
  if (port === undefined && request.workdir) {
    return { pipe: { path: socketPath(request.workdir, 'kuma-envoy-admin'), mode: 0o600 } }
  }
  return { socketAddress: { address: '127.0.0.1', portValue: port ?? subject.adminPort ?? 9901 } }
}

/** Envoy reconnects 50 to 500 ms after a lost stream. Its default can take 30 s after a long outage. */
function adsService(request: BootstrapRequest): unknown {
  const token = request.dataplaneToken.trim()
  return {
    envoyGrpc: {
      clusterName: 'ads_cluster',
      retryPolicy: { retryBackOff: { baseInterval: '0.05s', maxInterval: '0.5s' } },
    },
    ...(token ? { initialMetadata: [{ key: 'authorization', value: token }] } : {}),
  }
}

function runtimeLayers(subject: BootstrapSubject): readonly unknown[] {
  const limits = { 're2.max_program_size.error_level': 4294967295, 're2.max_program_size.warn_level': 1000 }
  const gateway = {
    name: 'gateway.listeners',
    rtdsLayer: { name: 'gateway.listeners', rtdsConfig: { ads: {}, resourceApiVersion: 'V3' } },
  }
  return [{ name: 'kuma', staticLayer: limits }, ...(subject.isBuiltinGateway ? [gateway] : [])]
}

/** Sets a limit on connections: without one, Envoy warns at every start. */
function overloadManager(request: BootstrapRequest): unknown {
  const heapBytes = request.resources?.maxHeapSizeBytes ?? 0
  const connections = {
    name: 'envoy.resource_monitors.global_downstream_max_connections',
    typedConfig: {
      '@type': typeOf('resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig'),
      maxActiveDownstreamConnections: '50000',
    },
  }
  if (heapBytes === 0) return { refreshInterval: '0.250s', resourceMonitors: [connections] }
  const name = 'envoy.resource_monitors.fixed_heap'
  const heap = {
    name,
    typedConfig: {
      '@type': typeOf('resource_monitors.fixed_heap.v3.FixedHeapConfig'),
      maxHeapSizeBytes: String(heapBytes),
    },
  }
  const action = (suffix: string, value: number) => ({
    name: `envoy.overload_actions.${suffix}`,
    triggers: [{ name, threshold: { value } }],
  })
  return {
    refreshInterval: '0.250s',
    resourceMonitors: [connections, heap],
    actions: [action('shrink_heap', 0.95), action('stop_accepting_requests', 0.98)],
  }
}

function http2Cluster(name: string): Record<string, unknown> {
  return {
    name,
    connectTimeout: '1s',
    upstreamConnectionOptions: { tcpKeepalive: { keepaliveProbes: 3, keepaliveTime: 10, keepaliveInterval: 10 } },
    typedExtensionProtocolOptions: {
      'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
        '@type': typeOf('upstreams.http.v3.HttpProtocolOptions'),
        explicitHttpConfig: { http2ProtocolOptions: {} },
      },
    },
  }
}

const assignment = (clusterName: string, ...addresses: readonly unknown[]): unknown => ({
  clusterName,
  endpoints: [{ lbEndpoints: addresses.map((address) => ({ endpoint: { address } })) }],
})

const socketOf = ({ host, port }: { readonly host: string; readonly port: number }): unknown => ({
  socketAddress: { address: host, portValue: port },
})

const replicasOf = ({ host, port, others = [] }: BootstrapTarget) => [
  { host, port },
  ...others.filter((other) => other.host !== host || other.port !== port),
]

/** Envoy leaves out a replica that it cannot reach after one attempt, so that the next one reaches another. */
const leaveOutUnreachable = {
  outlierDetection: {
    splitExternalLocalOriginErrors: true,
    consecutiveLocalOriginFailure: 1,
    enforcingConsecutiveLocalOriginFailure: 100,
    ...{ enforcingConsecutive5xx: 0, enforcingConsecutiveGatewayFailure: 0 },
    ...{ enforcingSuccessRate: 0, enforcingLocalOriginSuccessRate: 0 },
    ...{ interval: '1s', baseEjectionTime: '3s', maxEjectionTime: '10s', maxEjectionPercent: 90 },
  },
  commonLbConfig: { healthyPanicThreshold: { value: 0 } },
}

function adsCluster(target: BootstrapTarget): unknown {
  const replicas = replicasOf(target)
  const areIps = replicas.every(({ host }) => isIp(host))
  return {
    ...http2Cluster('ads_cluster'),
    type: areIps ? 'STATIC' : 'STRICT_DNS',
    ...(areIps ? {} : { dnsLookupFamily: 'V4_PREFERRED' }),
    loadAssignment: assignment('ads_cluster', ...replicas.map(socketOf)),
    ...(replicas.length > 1 ? leaveOutUnreachable : {}),
    transportSocket: {
      name: 'envoy.transport_sockets.tls',
      typedConfig: {
        '@type': typeOf('transport_sockets.tls.v3.UpstreamTlsContext'),
        sni: target.host,
        commonTlsContext: {
          alpnProtocols: ['h2'],
          tlsParams: { tlsMinimumProtocolVersion: 'TLSv1_2' },
          validationContextSdsSecretConfig: { name: 'cp_validation_ctx' },
        },
      },
    },
  }
}

function accessLogSink(request: BootstrapRequest): unknown {
  const path = socketPath(request.workdir, `kuma-al-${request.name}-${request.mesh}`)
  return {
    ...http2Cluster('access_log_sink'),
    type: 'STATIC',
    loadAssignment: assignment('access_log_sink', { pipe: { path } }),
  }
}

function trust(target: BootstrapTarget): unknown {
  const hosts = [...new Set(replicasOf(target).map(({ host }) => host))]
  const matchTypedSubjectAltNames = hosts.flatMap((host) =>
    ['DNS', 'IP_ADDRESS'].map((sanType) => ({ sanType, matcher: { exact: host } })),
  )
  const trustedCa = { inlineBytes: Buffer.from(target.authority).toString('base64') }
  return { name: 'cp_validation_ctx', validationContext: { trustedCa, matchTypedSubjectAltNames } }
}
