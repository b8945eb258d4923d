import { startEcho } from '@zonemesh/cli/scene/echo-server.ts'
import { freePorts } from '@zonemesh/cli/scene/ports.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import type { Destination, ReplicaScene } from './replica-scene.ts'
import { api, local, until, zonemesh } from './rig.ts'

/** The service that runs only in the zone west. */
export const far: Destination = { name: 'far', service: 'far_demo_svc_8080' }

const anyPorts = ['--host', local, '--api-tls-port', '0', '--health-port', '0', '--dns-port', '0']

/**
 * Adds the zone west, with one process, an ingress and a service, to a scene. The gateway of the scene gets a route to
 * the service. The processes stop with the scene.
 */
export async function startFarZone(scene: ReplicaScene): Promise<Disposable> {
  const { folder, processes, globals } = scene
  const [address = ''] = globals.map((one) => one.address)
  const [port = 0, proxyPort = 0, ingressPort = 0, servicePort = 0, inboundPort = 0] = await freePorts(systemRandom, 5)
  const tokenFile = async (name: string, ...words: readonly string[]): Promise<string> =>
    folder.file(name, (await zonemesh('token', 'zone', 'west', ...words, '--address', address)).stdout)

  const joinAddress = globals.map(({ syncUrl }) => syncUrl).join(',')
  const joinFile = await tokenFile('west.join', '--join-address', joinAddress)
  const ports = [...anyPorts, '--api-port', `${port}`, '--proxy-port', `${proxyPort}`]
  processes.startOwn('zone-west', ['zone', '--join', joinFile, '--data-dir', `${folder.path}/west`, ...ports])
  await until(
    'zone-west answers',
    () => api(`http://${local}:${port}`).call('GET', '/'),
    ({ status }) => status === 200,
  )
  const echo = await startEcho({ service: far.service, zone: 'west', version: 'v1' }, local, servicePort)

  const ingress = `{ address: ${local}, port: ${ingressPort}, advertisedAddress: ${local}, advertisedPort: ${ingressPort} }`
  const tags = `{ kuma.io/service: ${far.service}, kuma.io/protocol: http }`
  const inbound = `{ port: ${inboundPort}, servicePort: ${servicePort}, serviceAddress: ${local}, tags: ${tags} }`
  const ingressToken = await tokenFile('ingress.token', '--scope', 'ingress', '--raw')
  for (const [name, type, yaml, token] of [
    ['ingress-west', 'ingress', `type: ZoneIngress\nname: ingress-west\nnetworking: ${ingress}\n`, ingressToken],
    [
      ...(['far-1', 'dataplane'] as const),
      `type: Dataplane\nmesh: default\nname: far-1\nnetworking: { address: ${local}, inbound: [${inbound}] }\n`,
      `${folder.path}/dataplane.token`,
    ],
  ] as const)
    processes.startOwn(name, [
      ...['dataplane', '--proxy-type', type, '--dataplane-file', folder.file(`${name}.yaml`, yaml)],
      ...['--cp-address', `https://${local}:${proxyPort}`, '--token-file', token],
      ...['--ca-cert-file', `${folder.path}/west/ca.crt`, '--work-dir', `${folder.path}/${name}`],
      ...['--drain-time', '1s', '--no-dns'],
    ])
  await scene.writeRoute(address, '0', far)
  const ask = () => scene.ask(`/${far.name}`)
  await until('the gateway answers from west', ask, ({ status }) => status === 200, 60_000)
  return { [Symbol.dispose]: () => void echo.close() }
}
