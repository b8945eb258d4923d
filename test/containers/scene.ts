import { freePorts } from '@zonemesh/cli/scene/ports.ts'
import { createProcesses, type Processes } from '@zonemesh/cli/scene/processes.ts'
import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import { expect } from 'vitest'
import { api, type Folder, local, statusOf, temporaryFolder, until, zonemesh } from '../e2e/rig.ts'

/** A global whose store is in a database, and a zone with its store in a file, as processes that are kept running. */
export interface Scene extends AsyncDisposable {
  readonly global: string
  readonly zone: string
  readonly folder: Folder
  readonly processes: Processes
  /** How often the global has exited by itself, with its codes. */
  readonly exits: readonly (number | string)[]
}

const anyPorts = ['--host', local, '--api-tls-port', '0', '--health-port', '0']

export async function startScene(storeUrl: string): Promise<Scene> {
  const folder = temporaryFolder()
  const processes = createProcesses(folder.path)
  const [globalPort = 0, syncPort = 0, zonePort = 0] = await freePorts(systemRandom, 3)
  const exits: (number | string)[] = []
  const scene: Scene = {
    ...{ folder, processes, exits },
    global: `http://${local}:${globalPort}`,
    zone: `http://${local}:${zonePort}`,
    async [Symbol.asyncDispose]() {
      await processes.stop()
      folder[Symbol.dispose]()
    },
  }
  try {
    const places = ['--store', storeUrl, '--data-dir', `${folder.path}/global`]
    const ports = ['--api-port', `${globalPort}`, '--sync-port', `${syncPort}`]
    processes.startOwn('global', ['global', ...places, ...anyPorts, ...ports])
    await untilAnswers(scene.global)
    const { stdout } = await zonemesh('token', 'zone', 'east', '--address', scene.global)
    const joined = ['--join-file', folder.file('east.join', stdout), '--data-dir', `${folder.path}/east`]
    const zonePorts = ['--api-port', `${zonePort}`, '--proxy-port', '0', '--dns-port', '0']
    processes.startOwn('zone-east', ['zone', ...joined, ...anyPorts, ...zonePorts])
    processes.keepRunning((name, how) => {
      if (name === 'global') exits.push(how)
    })
    await untilCurrent(scene)
    return scene
  } catch (thrown) {
    await scene[Symbol.asyncDispose]()
    throw thrown
  }
}

export const untilAnswers = (address: string) =>
  until(
    `${address} answers`,
    () => api(address).call('GET', '/meshes/default'),
    ({ status }) => status === 200,
  )

/** Both ends report that the zone is current. */
export const untilCurrent = (scene: Scene, limitMs = 30_000) =>
  until(
    'the zone is current',
    async () => [(await statusOf(scene.global)).zones[0]?.current, (await statusOf(scene.zone)).uplink],
    // An uplink has more fields than other tests read.
    ([seen, uplink]) => seen === true && (uplink as JsonObject)['current'] === true,
    limitMs,
  )

/** A policy whose only value is this number of seconds. */
const timeout = (name: string, seconds: number): JsonObject => ({
  ...{ type: 'Timeout', mesh: 'default', name },
  sources: [{ match: { 'kuma.io/service': '*' } }],
  destinations: [{ match: { 'kuma.io/service': '*' } }],
  conf: { connectTimeout: `${seconds}s` },
})

const pathOf = (name: string) => `/meshes/default/timeouts/${name}`

/** Writes a policy on the global, and returns the status of the answer. */
export const write = async ({ global }: Scene, name: string, seconds: number): Promise<number> =>
  (await api(global).call('PUT', pathOf(name), timeout(name, seconds))).status

/** Writes a policy on the global, which accepts it. */
export async function mustWrite(scene: Scene, name: string, seconds: number): Promise<void> {
  expect(await write(scene, name, seconds)).toBeLessThan(300)
}

export const remove = ({ global }: Scene, name: string) => api(global).need('DELETE', pathOf(name))

/** What a zone appends to the names of the global. */
const hash = /-[a-z0-9]{16}$/

/** All policies of a plane: the seconds by name. */
export async function policiesOf(address: string): Promise<Record<string, number>> {
  // The plane answers with its own list type.
  const { items } = (await api(address).need('GET', '/timeouts?size=1000')).json as unknown as {
    readonly items: readonly { readonly name: string; readonly conf: { readonly connectTimeout: string } }[]
  }
  return Object.fromEntries(
    items.map(({ name, conf }) => [name.replace(hash, ''), Number.parseInt(conf.connectTimeout, 10)]),
  )
}

export const untilPolicies = (address: string, expected: Readonly<Record<string, number>>, limitMs = 30_000) =>
  until(
    `${address} has ${JSON.stringify(expected)}`,
    () => policiesOf(address),
    (found) => JSON.stringify(Object.entries(found).sort()) === JSON.stringify(Object.entries(expected).sort()),
    limitMs,
  )

/** Why the zone waits for an operator; undefined if it does not. */
export async function holdOf({ zone }: Scene): Promise<string | undefined> {
  const { hold } = (await statusOf(zone)).uplink as unknown as { readonly hold?: { readonly reason: string } }
  return hold?.reason
}
