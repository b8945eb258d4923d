import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { arrivingLabel } from '@zonemesh/core/kinds/common.ts'
import { findEnvoy } from '@zonemesh/dataplane/envoy/find.ts'
import { untilAborted } from '@zonemesh/shared/env/aborted.ts'
import { CommandError, type Context } from '../base/command.ts'
import { untilAnswer } from '../base/http.ts'
import { type RunningState, removeRunning, type SceneProcess, writeRunning } from '../base/running-scene.ts'
import { columns } from '../output/table.ts'
import { prepareDataFolder } from './data-folder.ts'
import { ownClient } from './planes.ts'
import { keptPorts, planePorts } from './ports.ts'
import type { Processes } from './processes.ts'
import { local, readSceneFile, type Scene, type SceneProxy } from './scene-file.ts'
import { createStage, limitMs, type Stage, type Steps } from './stage.ts'
import { type RunningScene, startScene } from './start.ts'

export interface SceneRun {
  readonly file: string
  readonly folder: string
  readonly variables: Readonly<Record<string, string>>
}

/**
 * Runs a scene until the signal: starts it, keeps its processes running, and stops them in order. Prints `ending` when
 * everything runs.
 */
export async function runScene(
  { file, folder, variables }: SceneRun,
  context: Context,
  ending: readonly string[],
): Promise<void> {
  const { print, note, signal } = context
  const startMs = performance.now()
  const steps: Steps = {
    done: (line) => print(`✔ ${((performance.now() - startMs) / 1000).toFixed(1).padStart(5)} s  ${line}`),
  }
  const sceneFile = readSceneFile(file, variables)
  prepareDataFolder(folder)
  const ports = await keptPorts(
    join(folder, 'ports.json'),
    new Map([...planePorts(sceneFile.zones), ...sceneFile.ports]),
  )
  const scene = await sceneFile.complete(portOf(ports))
  process.env['ZONEMESH_ENVOY'] = await findEnvoy({ env: process.env, progress: note }, signal)
  const stage = createStage({ folder, steps, port: portOf(ports) }, signal)
  const addressOf = (plane: string) => `http://${local}:${ports.get(`${plane}.api`)}`
  const zones = Object.fromEntries(sceneFile.zones.map((zone) => [zone, addressOf(zone)]))
  const state = publishState(folder, stage.processes, { globalAddress: addressOf('global'), zones })
  try {
    const running = await startScene(stage, scene)
    await untilConnected(stage, running, scene)
    await untilReady(stage, running, scene)
    await untilServed(stage, running)
    for (const line of addresses(running)) print(line)
    if (scene.try.length > 0) print(`\nTry, in another terminal:\n\n${scene.try.map((line) => `  ${line}`).join('\n')}`)
    stage.processes.keepRunning((name, how, waitMs) => {
      state.restarted(name)
      note(`${name} ended with ${how}; starting it again in ${(waitMs / 1000).toFixed(1)} s`)
    })
    state.ready()
    for (const line of ending) print(line)
    await untilAborted(signal)
  } catch (thrown) {
    if (!signal.aborted) throw thrown
  } finally {
    await stage.stop()
    await state.end()
  }
  note('stopped')
}

const portOf =
  (ports: ReadonlyMap<string, number>) =>
  (name = ''): number => {
    const port = ports.get(name)
    if (port === undefined)
      throw new CommandError(`the scene has no port "${name}"; it has: ${[...ports.keys()].join(', ')}`)
    return port
  }

/** Writes the state file of a scene whenever a process has started or exited. */
function publishState(folder: string, processes: Processes, planes: Pick<RunningState, 'globalAddress' | 'zones'>) {
  const startedAtMs = Date.now()
  const known = new Map<string, SceneProcess>()
  const restarts = new Map<string, number>()
  let ready = false
  let writing = Promise.resolve()
  const publish = () => {
    for (const one of known.values()) known.set(one.name, { ...one, pid: 0 })
    for (const { name, pid, startedAtMs: at, logFile } of processes.all())
      known.set(name, { name, pid, startedAtMs: at, restarts: restarts.get(name) ?? 0, logFile })
    const state = { startedAtMs, ready, ...planes, processes: [...known.values()] }
    writing = writing.then(() => writeRunning(folder, state)).catch(() => undefined)
  }
  processes.onChange(publish)
  publish()
  return {
    restarted: (name: string) => void restarts.set(name, (restarts.get(name) ?? 0) + 1),
    ready() {
      ready = true
      publish()
    },
    async end() {
      await writing
      removeRunning(folder)
    },
  }
}

/** What a zone reports about its proxies, and about what the global has stored of it. */
interface ZoneReport {
  readonly revision: number
  readonly uplink: { readonly up: { readonly stored: number } }
  readonly proxies: readonly { readonly proxy: string; readonly state: string }[]
}

const reportsOf = ({ zones }: RunningScene): Promise<readonly ZoneReport[]> =>
  Promise.all(
    [...zones.values()].map(async ({ apiAddress }) => {
      const { json } = await ownClient(apiAddress).need('GET', '/_status')
      return json as ZoneReport // a zone answers with its own type
    }),
  )

/** Waits until all proxies of the scene are connected to their zones. */
async function untilConnected(stage: Stage, running: RunningScene, scene: Scene): Promise<void> {
  if (scene.proxies.length === 0) return
  const missing = (reports: readonly ZoneReport[]) => {
    const proxies = reports.flatMap((report) => report.proxies).filter(({ state }) => state === 'connected')
    return scene.proxies
      .map(({ name }) => name)
      .filter((name) => !proxies.some(({ proxy }) => proxy.endsWith(`/${name}`)))
  }
  await stage.orFail(
    untilAnswer(
      'all proxies are connected',
      limitMs,
      () => reportsOf(running),
      (reports) => missing(reports).length === 0,
      (reports) => `${missing(reports).join(', ')} missing`,
    ),
  )
  stage.steps.done(`proxies connected: ${scene.proxies.map(({ name }) => name).join(', ')}`)
}

/** Waits until other proxies may send traffic to all proxies of the scene: their Envoys have answered their zones. */
async function untilReady(stage: Stage, running: RunningScene, scene: Scene): Promise<void> {
  const unready = async () => {
    const found = await Promise.all(
      scene.proxies.map(async (proxy) => ((await isReady(running, proxy)) ? [] : [proxy.name])),
    )
    return found.flat()
  }
  const what = 'all proxies are ready'
  await stage.orFail(
    untilAnswer(
      what,
      limitMs,
      unready,
      (names) => names.length === 0,
      (names) => `${names.join(', ')} not ready`,
    ),
  )
}

async function isReady({ zones }: RunningScene, { zone, kind, name, resource }: SceneProxy): Promise<boolean> {
  const path = {
    Dataplane: `/meshes/${String(resource['mesh'])}/dataplanes/${name}`,
    ZoneIngress: `/zoneingresses/${name}`,
    ZoneEgress: `/zoneegresses/${name}`,
  }[kind]
  const { json } = await ownClient(zones.get(zone)?.apiAddress ?? '').need('GET', path)
  const { networking = {}, labels = {} } = json as StoredProxy // a zone answers with its own type
  // A zone registers a proxy in this form until its Envoy has answered.
  if (kind === 'ZoneIngress') return networking.advertisedPort !== undefined
  if (kind === 'ZoneEgress') return labels[arrivingLabel] === undefined
  return (networking.inbound ?? []).every(({ state }) => state !== 'NotReady')
}

interface StoredProxy {
  readonly labels?: Readonly<Record<string, string>>
  readonly networking?: {
    readonly advertisedPort?: number
    readonly inbound?: readonly { readonly state?: string }[]
  }
}

/** Waits until the global has all rows of the zones, and then until each zone serves everything that the global has. */
async function untilServed(stage: Stage, running: RunningScene): Promise<void> {
  await stage.orFail(
    untilAnswer(
      'the global has stored what the zones announce',
      limitMs,
      () => reportsOf(running),
      (reports) => reports.every(({ revision, uplink }) => uplink.up.stored >= revision),
      (reports) => JSON.stringify(reports.map(({ revision, uplink }) => ({ revision, ...uplink.up }))),
    ),
  )
  // Other zones may join the global and are not awaited.
  const servedBy = ({ zones }: GlobalReport) =>
    zones
      .filter(({ zone }) => running.zones.has(zone))
      .map(({ zone, revision: of }) => ({ zone, served: of?.served ?? 0 }))
  // The global answers with its own type.
  const status = async () => (await running.global.need('GET', '/_status')).json as GlobalReport
  const { revision } = await status()
  await stage.orFail(
    untilAnswer(
      `every zone serves revision ${revision}`,
      limitMs,
      status,
      (report) => servedBy(report).every(({ served }) => served >= revision),
      (report) =>
        servedBy(report)
          .map(({ zone, served }) => `${zone} serves ${served}`)
          .join(', '),
    ),
  )
  stage.steps.done(`served in ${[...running.zones.keys()].join(' and ')}`)
}

interface GlobalReport {
  readonly revision: number
  /** A zone that has never started has no revision. */
  readonly zones: readonly { readonly zone: string; readonly revision?: { readonly served: number } }[]
}

function addresses({ globalAddress, zones }: RunningScene): readonly string[] {
  const rows = [...zones].map(([zone, place]) => [zone, place.apiAddress, `${local}:${place.dnsPort}`])
  return ['', ...columns([['plane', 'api', 'resolver'], ['global', globalAddress, '-'], ...rows])]
}
