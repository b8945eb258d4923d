import { freePorts } from '@zonemesh/cli/scene/ports.ts'
import { createProcesses, type Processes } from '@zonemesh/cli/scene/processes.ts'
import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import { expect } from 'vitest'
import { api, type Folder, local, statusOf, temporaryFolder, until, zonemesh } from '../e2e/rig.ts'

/** A global and a zone with its store in a file, as processes that are kept running. */
export interface Scene extends AsyncDisposable {
  readonly global: string
  readonly zone: string
  readonly folder: Folder
  readonly processes: Processes
  /** How often the global has exited by itself, with its codes. */
  readonly exits: readonly (number | string)[]
}

interface SceneOptions {
  /** The database of the global. Default: a file. */
  readonly storeUrl?: string
  /** The address at which the zone reaches the port of the global's API, and an authority that the zone trusts. */
  readonly through?: (apiPort: number) => Promise<{ readonly address: string; readonly authorityFile: string }>
}

const anyPorts = ['--host', local, '--api-tls-port', '0', '--health-port', '0']

export async function startScene({ storeUrl, through }: SceneOptions): Promise<Scene> {
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
    const store = storeUrl === undefined ? [] : ['--store', storeUrl]
    const ports = ['--data-dir', `${folder.path}/global`, '--api-port', `${globalPort}`, '--sync-port', `${syncPort}`]
    processes.startOwn('global', ['global', ...store, ...anyPorts, ...ports])
    await untilAnswers(scene.global)
    const line = await through?.(globalPort)
    const joinAddress = line ? ['--join-address', line.address] : []
    const { stdout } = await zonemesh('token', 'zone', 'east', '--address', scene.global, ...joinAddress)
    const joined = ['--join-file', folder.file('east.join', stdout), '--data-dir', `${folder.path}/east`]
    const zonePorts = ['--api-port', `${zonePort}`, '--proxy-port', '0', '--dns-port', '0']
    const environment = { ...process.env, ...(line ? { NODE_EXTRA_CA_CERTS: line.authorityFile } : {}) }
    processes.startOwn('zone-east', ['zone', ...joined, ...anyPorts, ...zonePorts], environment)
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

/** The number of the session in which both ends report that the zone is current; `after`: of a later session. */
export async function untilCurrent(scene: Scene, after = 0): Promise<number> {
  const [epoch] = await until(
    'the zone is current',
    async () => {
      const [seen] = (await statusOf(scene.global)).zones
      // An uplink has more fields than other tests read.
      const { current } = (await statusOf(scene.zone)).uplink as unknown as JsonObject
      return [seen?.epoch ?? 0, seen?.current, current] as const
    },
    ([number, atGlobal, atZone]) => atGlobal === true && atZone === true && number > after,
    30_000,
  )
  return epoch
}

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
