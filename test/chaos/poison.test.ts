import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { api, root, startTraffic, statusOf, throughGateway, until, untilBothCurrent, zonemesh } from '../e2e/rig.ts'
import { startVictim, type Victim } from './rig.ts'

let victim: Victim
beforeAll(async () => {
  victim = await startVictim(2501)
})
afterAll(() => victim[Symbol.asyncDispose]())

const plant = pathToFileURL(join(root, 'test/chaos/plant-bug.ts')).href
const poison = 'poison-1'

/** A valid route of the gateway to the service of the demo. */
function route(name: string, path: string): JsonObject {
  const { mesh, gateway, listenerTag, service, hostname } = victim.demo.names
  return {
    type: 'MeshGatewayRoute',
    mesh,
    name,
    selectors: [{ match: { 'kuma.io/service': gateway, listener: listenerTag } }],
    conf: {
      http: {
        hostnames: [hostname],
        rules: [
          {
            matches: [{ path: { match: 'PREFIX', value: path } }],
            backends: [{ weight: 1, destination: { 'kuma.io/service': service } }],
          },
        ],
      },
    },
  }
}
const put = (document: JsonObject) => {
  const { globalAddress, names } = victim.demo
  return api(globalAddress).need('PUT', `/meshes/${names.mesh}/meshgatewayroutes/${document['name']}`, document)
}

interface Verdicts {
  readonly verdicts: readonly { readonly key: string; readonly outcome: string; readonly reason: string }[]
}
const key = () => `global/MeshGatewayRoute/${victim.demo.names.mesh}/${poison}`
/** The reports of the global about the row, for both zones. */
async function told(): Promise<readonly (string | undefined)[]> {
  const { zones } = await statusOf(victim.demo.globalAddress)
  return ['east', 'west'].map((name) => {
    const { verdicts } = zones.find(({ zone }) => zone === name) as unknown as Verdicts // the plane's own shape
    return verdicts.find((one) => one.key === key())?.outcome
  })
}

test('F25 a valid row crashes the compiler of one zone: only this zone holds it back and reports it, also through a restart', async () => {
  const { demo } = victim
  const { processes } = demo
  const withBug = { ...process.env, NODE_OPTIONS: `--import ${plant}` }
  const ask = () => throughGateway(demo, '/')
  await using traffic = startTraffic(ask, 2)
  const restart = await processes.kill('zone-east', 'SIGTERM')
  const { pid } = restart(withBug)
  await untilBothCurrent(demo.globalAddress)
  await put(route(poison, '/poison'))
  await until('the global says so', told, ([east]) => east === 'quarantined')
  expect(await told()).toEqual(['quarantined', undefined])
  const { stdout } = await zonemesh('status', '--address', demo.zones.east.apiAddress)
  expect(stdout).toMatch(new RegExp(`quarantined: MeshGatewayRoute .*${poison}.*planted: a bug of this compiler`))
  // Valid routes still work.
  await put(route('sound-1', '/sound-1'))
  await until(
    'a good route after it is served',
    () => throughGateway(demo, '/sound-1'),
    ({ status }) => status === 200,
  )
  expect(processes.get('zone-east')?.pid).toBe(pid)

  await processes.kill('zone-east', 'SIGKILL')
  restart(withBug)
  await untilBothCurrent(demo.globalAddress)
  expect(await told()).toEqual(['quarantined', undefined])
  await put(route('sound-2', '/sound-2'))
  await until(
    'a good route is served',
    () => throughGateway(demo, '/sound-2'),
    ({ status }) => status === 200,
  )

  // The bug is fixed: when the row is written again, it is checked again.
  await processes.kill('zone-east', 'SIGTERM')
  restart()
  await untilBothCurrent(demo.globalAddress)
  await put(route(poison, '/poison-mended'))
  await until(
    'it is served',
    () => throughGateway(demo, '/poison-mended'),
    ({ status }) => status === 200,
  )
  await until('nobody says anything of it', told, (all) => all.every((one) => one === undefined))
  const { requests, failures } = await traffic.stop()
  expect({ failures, isEnough: requests > 300 }).toEqual({ failures: [], isEnough: true })
})
