import type { ZoneName } from '@zonemesh/cli/demo/run.ts'
import { startEcho } from '@zonemesh/cli/scene/echo-server.ts'
import { freePorts } from '@zonemesh/cli/scene/ports.ts'
import { startProxyProcess } from '@zonemesh/cli/scene/proxies.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { api, local, type Scene, startScene, startTraffic, throughGateway, until } from './rig.ts'

let scene: Scene
beforeAll(async () => {
  scene = await startScene(58)
})
afterAll(() => scene[Symbol.asyncDispose]())

/**
 * Starts another instance of the demo's service, and then its proxy. Returns a function that stops the proxy as its
 * operator does.
 */
async function startInstance(zone: ZoneName, name: string): Promise<() => Promise<unknown>> {
  const { demo } = scene
  const { mesh, service, version1: version } = demo.names
  const [servicePort = 0, port = 0] = await freePorts(systemRandom, 2)
  const server = await startEcho({ service, zone, version: name }, local, servicePort)
  const tags = { 'kuma.io/service': service, 'kuma.io/protocol': 'http', version }
  const networking = { address: local, inbound: [{ port, servicePort, serviceAddress: local, tags }] }
  const resource = { type: 'Dataplane', mesh, name, networking }
  await startProxyProcess(demo, api(demo.globalAddress), zone, demo.zones[zone], resource)
  return async () => {
    await demo.processes.kill(name, 'SIGTERM')
    await server.close()
  }
}

test('E41 F37 a service scales up and down in both zones under load: all its instances get requests, and no request fails', async () => {
  const answered = new Set<string>()
  const ask = async () => {
    const answer = await throughGateway(scene.demo, '/split')
    if (answer.status === 200) answered.add(JSON.parse(answer.body).version)
    return answer
  }
  await using traffic = startTraffic(ask, 4)
  const instances = (['east', 'west'] as const).map((zone) => ({ zone, name: `more-${zone}` }))
  const ends = await Promise.all(instances.map(({ zone, name }) => startInstance(zone, name)))
  // Existing connections stay with their instances behind the ingress, for at most a minute (GW27).
  for (const { name } of instances)
    await until(
      `${name} answers`,
      () => answered,
      (all) => all.has(name),
      90_000,
    )
  await traffic.more(200)
  for (const end of ends) await end()
  await traffic.more(200)
  const { requests, failures } = await traffic.stop()
  expect({ failures, isEnough: requests > 800 }).toEqual({ failures: [], isEnough: true })
}, 150_000)
