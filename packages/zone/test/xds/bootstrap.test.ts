import { expect, test } from 'vitest'
import { renderBootstrap } from '../../src/xds/bootstrap.ts'
import { bootstrapRequestSchema } from '../../src/xds/bootstrap-request.ts'

const target = { host: '10.0.0.1', port: 5678, authority: 'PEM' }
const ours = { part: 3, canBindPort80: true }

function render(request: object, subject: object = {}, more: object = {}) {
  const parsed = bootstrapRequestSchema.parse({ mesh: 'default', name: 'web', ...request })
  return JSON.parse(renderBootstrap(parsed, { isBuiltinGateway: false, ...subject }, { ...target, ...more }))
}

test('P25 the node is named after the proxy, and its cluster after its service or its type', () => {
  expect(render({}, { service: 'shop' }).node).toMatchObject({ id: 'default.web', cluster: 'shop' })
  expect(render({}).node.cluster).toBe('unknown')
  expect(render({ mesh: '', proxyType: 'ingress' }, { service: 'shop' }).node).toMatchObject({
    ...{ id: '.web', cluster: 'ingress' },
  })
})

test('P25 the metadata of the node repeats what the proxy has sent, and omits what it has not', () => {
  const metadata = {
    'dataplane.proxyType': 'dataplane',
    'dataplane.admin.port': '9901',
    'dataplane.admin.address': '127.0.0.1',
    'spireAgent.socketPath': '',
    features: [],
    metricsCertPath: '',
    metricsKeyPath: '',
    systemCaPath: '',
    workdir: '',
  }
  expect(render({}).node.metadata).toEqual(metadata)
  const sent = {
    dataplaneResource: '{}',
    workdir: '/w',
    dnsPort: 53,
    readinessPort: 9902,
    appProbeProxyDisabled: true,
    features: ['f'],
    dynamicMetadata: { a: 'b' },
    otelEnv: { c: 1 },
    dataplaneConfig: { d: 1 },
    ipv6Enabled: false,
    metricsResources: { certPath: 'cp', keyPath: 'kp' },
    spireResources: { socketPath: 'sp' },
    systemCaPath: 'ca',
    version: { envoy: 1 },
    zonemesh: { ...ours, adminPort: 7000 },
  }
  expect(render(sent).node.metadata).toEqual({
    ...metadata,
    'dataplane.resource': '{}',
    'dataplane.admin.port': '7000',
    'dataplane.admin.socketPath': '/w/kuma-envoy-admin.sock',
    'dataplane.dns.port': '53',
    'dataplane.readinessReporter.port': '9902',
    'dataplane.appProbeProxy.enabled': 'true',
    features: ['f'],
    dynamicMetadata: { a: 'b' },
    otelEnvInventory: { c: 1 },
    transparentProxy: { d: 1 },
    ipv6Enabled: false,
    metricsCertPath: 'cp',
    metricsKeyPath: 'kp',
    'spireAgent.socketPath': 'sp',
    systemCaPath: 'ca',
    version: { envoy: 1 },
    workdir: '/w',
    'zonemesh.part': 3,
    'zonemesh.canBindPort80': true,
  })
})

test('P25 the admin interface is a socket in the work folder, readable only by its owner, unless a port is given', () => {
  const admin = (request: object, subject?: object) => render(request, subject).admin.address
  const at = (portValue: number) => ({ socketAddress: { address: '127.0.0.1', portValue } })
  expect(admin({ workdir: '/w' })).toEqual({ pipe: { path: '/w/kuma-envoy-admin.sock', mode: 0o600 } })
  expect(admin({ workdir: '/w', zonemesh: { ...ours, adminPort: 7000 } })).toEqual(at(7000))
  expect(admin({})).toEqual(at(9901))
  expect(admin({}, { adminPort: 8000 })).toEqual(at(8000))
  // A path of a socket has at most 107 bytes, so it is cut.
  const { path } = admin({ workdir: `/${'w'.repeat(200)}` }).pipe
  expect(path).toBe(`/${'w'.repeat(97)}.sock`)
})

test('P25 the stream is delta ADS, sends the node once, and carries the token of the request', () => {
  const { dynamicResources } = render({ dataplaneToken: ' token\n' })
  expect(dynamicResources.adsConfig).toMatchObject({ apiType: 'DELTA_GRPC', setNodeOnFirstMessageOnly: true })
  expect(dynamicResources.adsConfig.grpcServices[0].initialMetadata).toEqual([{ key: 'authorization', value: 'token' }])
  expect(render({}).dynamicResources.adsConfig.grpcServices[0]).not.toHaveProperty('initialMetadata')
})

test('P25 Envoy trusts only the authority and the host of the zone, and resolves the host only if it is a name', () => {
  const clusterOf = (host: string) => render({}, {}, { host }).staticResources.clusters[0]
  for (const host of ['10.0.0.1', '::1']) {
    expect(clusterOf(host)).toMatchObject({ name: 'ads_cluster', type: 'STATIC' })
    expect(clusterOf(host)).not.toHaveProperty('dnsLookupFamily')
  }
  const byName = clusterOf('zone.example')
  expect(byName).toMatchObject({ type: 'STRICT_DNS', dnsLookupFamily: 'V4_PREFERRED' })
  expect(byName.transportSocket.typedConfig.sni).toBe('zone.example')
  expect(byName.loadAssignment.endpoints[0].lbEndpoints[0].endpoint.address.socketAddress).toEqual({
    ...{ address: 'zone.example', portValue: 5678 },
  })
  const [secret] = render({}).staticResources.secrets
  const { trustedCa, matchTypedSubjectAltNames } = secret.validationContext
  expect(Buffer.from(trustedCa.inlineBytes, 'base64').toString()).toBe('PEM')
  expect(matchTypedSubjectAltNames).toEqual(
    ['DNS', 'IP_ADDRESS'].map((sanType) => ({ sanType, matcher: { exact: '10.0.0.1' } })),
  )
})

test('ZR11 Envoy knows every replica of the zone once, trusts their names, and leaves out one that it cannot reach', () => {
  const addresses = [
    { host: '10.0.0.1', port: 5678 },
    { host: '10.0.0.1', port: 5679 },
    { host: 'zone-2.example', port: 5678 },
  ]
  const { clusters, secrets } = render({ zonemesh: { ...ours, addresses } }, {}, { others: addresses }).staticResources
  const [cluster] = clusters
  const endpoints = cluster.loadAssignment.endpoints[0].lbEndpoints
  expect(
    endpoints.map((one: { endpoint: { address: { socketAddress: unknown } } }) => one.endpoint.address.socketAddress),
  ).toEqual(addresses.map(({ host, port }) => ({ address: host, portValue: port })))
  expect(cluster).toMatchObject({ type: 'STRICT_DNS', outlierDetection: { consecutiveLocalOriginFailure: 1 } })
  expect(
    secrets[0].validationContext.matchTypedSubjectAltNames.map(
      (one: { matcher: { exact: string } }) => one.matcher.exact,
    ),
  ).toEqual([...['10.0.0.1', '10.0.0.1', 'zone-2.example', 'zone-2.example']])
  expect(render({}).staticResources.clusters[0]).not.toHaveProperty('outlierDetection')
})

test('P25 only kuma-dp gets a cluster for access logs, and only a builtin gateway a layer of runtime values', () => {
  const names = (request: object) => render(request).staticResources.clusters.map(({ name }: { name: string }) => name)
  expect(names({ zonemesh: ours })).toEqual(['ads_cluster'])
  expect(names({ workdir: '/w' })).toEqual(['ads_cluster', 'access_log_sink'])
  const sink = render({ workdir: '/w' }).staticResources.clusters[1]
  expect(sink.loadAssignment.endpoints[0].lbEndpoints[0].endpoint.address.pipe.path).toBe('/w/kuma-al-web-default.sock')
  const layers = (isBuiltinGateway: boolean) =>
    render({}, { isBuiltinGateway }).layeredRuntime.layers.map(({ name }: { name: string }) => name)
  expect([layers(false), layers(true)]).toEqual([['kuma'], ['kuma', 'gateway.listeners']])
  const [limits] = render({}).layeredRuntime.layers
  expect(limits.staticLayer).toEqual({
    ...{ 're2.max_program_size.error_level': 4_294_967_295, 're2.max_program_size.warn_level': 1000 },
  })
})

test('P25 Envoy limits its connections, and its heap if the proxy knows how much memory it has', () => {
  const [connections] = render({}).overloadManager.resourceMonitors
  expect(connections.typedConfig.maxActiveDownstreamConnections).toBe('50000')
  for (const resources of [undefined, {}, { maxHeapSizeBytes: 0 }])
    expect(render({ resources }).overloadManager).toEqual({
      refreshInterval: '0.250s',
      resourceMonitors: [connections],
    })
  const { resourceMonitors, actions } = render({ resources: { maxHeapSizeBytes: 1024 } }).overloadManager
  expect(resourceMonitors[1].typedConfig.maxHeapSizeBytes).toBe('1024')
  expect(
    actions.map((one: { triggers: { threshold: { value: number } }[] }) => one.triggers[0]?.threshold.value),
  ).toEqual([...[0.95, 0.98]])
})

test('P25 a request may leave out every field, and a wrong part of 127.128.0.0/9 is refused', () => {
  expect(bootstrapRequestSchema.parse({})).toMatchObject({ mesh: '', name: '', proxyType: 'dataplane' })
  expect(bootstrapRequestSchema.parse({ mesh: null, proxyType: '' })).toMatchObject({
    mesh: '',
    proxyType: 'dataplane',
  })
  const isValid = (part: number) =>
    bootstrapRequestSchema.safeParse({ zonemesh: { part, canBindPort80: true } }).success
  expect([-1, 0, 2047, 2048, 1.5].map(isValid)).toEqual([false, true, true, false, false])
})
