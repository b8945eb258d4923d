import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePorts } from '@zonemesh/cli/scene/ports.ts'
import { createProcesses } from '@zonemesh/cli/scene/processes.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import { epochKind } from '@zonemesh/shared/sync/log/rounds.ts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type PostgresServer, startPostgres } from '../contract/postgres-server.ts'
import { far, startFarZone } from './far-zone.ts'
import { type Replica, type ReplicaScene, startReplicaScene, zoneStatusOf } from './replica-scene.ts'
import { api, type Folder, local, run, startTraffic, statusOf, temporaryFolder, until, zonemesh } from './rig.ts'
import { copySoftware, ownSchemaVersion, type Software, thisSoftware } from './software.ts'

let server: PostgresServer
let folder: Folder
/** The next version. The software of this checkout tolerates its migration. */
let next: Software
/** A version whose migration only its own software tolerates. */
let breaking: Software
beforeAll(async () => {
  server = await startPostgres({ durable: true })
  folder = temporaryFolder()
  next = copySoftware(join(folder.path, 'next'), '9.1.0', { isTolerated: true })
  breaking = copySoftware(join(folder.path, 'breaking'), '9.2.0', { isTolerated: false })
})
afterAll(async () => {
  folder[Symbol.dispose]()
  await server[Symbol.asyncDispose]()
})

const versionOf = async (address: string): Promise<unknown> =>
  Object((await api(address).need('GET', '/')).json)['version']
/** Waits until the process at this address runs the software. Its API shows every version as a preview. */
const untilRuns = (address: string, { version }: Software) =>
  until(
    `${address} runs version ${version}`,
    () => versionOf(address),
    (found) => found === `${version}-preview`,
  )
const schemaVersionOf = async (schema: string): Promise<number> =>
  Number((await server.sql(`SELECT value FROM ${schema}.meta WHERE name = 'schema'`))[0]?.['value'])

/** Stops a process in order and starts it again, over the same data, with other software. */
async function replace({ processes }: ReplicaScene, { name, address }: Replica, software: Software): Promise<void> {
  const former = processes.get(name)
  if (!former) throw new Error(`${name} does not run`)
  await processes.kill(name, 'SIGTERM')
  expect(await former.exited).toBe(0)
  const args = former.args.map((arg) => (arg.endsWith('packages/cli/src/main.ts') ? software.mainFile : arg))
  processes.start(name, former.command, args)
  await untilRuns(address, software)
}

/** Waits until both zones are current, and both replicas of east show both of their proxies. */
async function untilWhole({ globals, zones }: ReplicaScene): Promise<void> {
  for (const { address } of globals)
    await until(
      `${address} shows both zones`,
      () => statusOf(address),
      ({ zones: shown }) =>
        shown.length === 2 &&
        shown.every(({ connected, current, proxies }) => connected && current && proxies.connected === 2),
    )
  for (const zone of zones)
    await until(
      `${zone.name} shows both replicas and proxies`,
      () => zoneStatusOf(zone),
      ({ replicas, proxies }) => replicas.length === 2 && proxies.every(({ state }) => state === 'connected'),
    )
}

test('ZR15 replicas are upgraded one by one and back over migrated tables: no request fails, every change arrives, and no proxy is removed', async () => {
  await using parts = new AsyncDisposableStack()
  const scene = parts.use(await startReplicaScene({ server, globals: 2 }))
  parts.use(await startFarZone(scene))
  const [one, two] = scene.globals
  const [east1, east2] = scene.zones
  if (!one || !two) throw new Error('the scene has two globals')
  await untilWhole(scene)
  const sinceMs = performance.now()
  await using traffic = startTraffic(() => scene.ask(`/${far.name}`), 4)
  let turn = 0
  /** A change of the route at this global arrives at the gateway. */
  async function change({ name, address }: Replica): Promise<void> {
    turn += 1
    await scene.writeRoute(address, `${turn}`, far)
    await until(
      `a change at ${name} arrives`,
      () => scene.ask(`/${far.name}`),
      ({ headers }) => headers['x-turn'] === `${turn}`,
    )
  }
  async function step(replica: Replica, software: Software): Promise<void> {
    await replace(scene, replica, software)
    for (const global of [one, two]) if (global) await change(global)
    await untilWhole(scene)
    await traffic.more(100)
  }

  await step(one, next)
  // The other process uses the tables of the next version.
  expect([await schemaVersionOf('the_global'), await schemaVersionOf('east')]).toEqual([
    ownSchemaVersion + 1,
    ownSchemaVersion,
  ])
  for (const [{ address }, { version }] of [
    [one, next],
    [two, thisSoftware],
  ] as const)
    expect((await zonemesh('version', '--address', address)).stdout).toContain(
      `server ${version}-preview at ${address}`,
    )
  await step(two, next)
  await step(east1, next)
  expect(await schemaVersionOf('east')).toBe(ownSchemaVersion + 1)
  const { stdout } = await zonemesh('status', '--address', east2.address)
  for (const { version } of [next, thisSoftware])
    expect(stdout).toMatch(new RegExp(`^\\S+ +(leads|follows) +\\d+ +${version}$`, 'm'))
  await step(east2, next)
  for (const replica of [one, two, east1, east2]) await step(replica, thisSoftware)

  const { requests, failures } = await traffic.stop()
  const perSecond = requests / ((performance.now() - sinceMs) / 1_000)
  console.info(`${requests} requests, ${Math.round(perSecond)} per second`)
  expect(failures).toEqual([])
  expect(perSecond).toBeGreaterThan(50)
  for (const schema of ['the_global', 'east']) {
    const proxies = await server.sql(
      `SELECT key, state FROM ${schema}.versions WHERE kind IN ('Dataplane', 'ZoneIngress')`,
    )
    expect(new Set(proxies.map(({ key }) => key)).size).toBe(schema === 'east' ? 3 : 4)
    expect(proxies.filter(({ state }) => state !== 'live')).toEqual([])
  }
  const epochs = await server.sql(`SELECT spec FROM the_global.versions WHERE kind = '${epochKind}'`)
  // Each stop of a leader and of a global with a session begins a session of east or west.
  expect(epochs.length).toBeGreaterThan(4)
  expect(epochs.filter(({ spec }) => String(spec).includes('diverged'))).toEqual([])
  for (const { name } of [east1, east2, { name: 'zone-west' }])
    expect(readFileSync(join(scene.folder.path, `${name}.log`), 'utf8')).not.toMatch(
      /a change is held|incarnation begins/,
    )
}, 240_000)

test('ZR16 S33 software that does not tolerate a migration refuses to start with the way on, and changes no table', async () => {
  using own = temporaryFolder()
  const processes = createProcesses(own.path)
  await using _stop = { [Symbol.asyncDispose]: () => processes.stop() }
  const [port = 0] = await freePorts(systemRandom, 1)
  const address = `http://${local}:${port}`
  const args = [
    ...['global', '--store', server.url('breaking'), '--data-dir', `${own.path}/global`, '--host', local],
    ...['--api-port', `${port}`, '--api-tls-port', '0', '--health-port', '0', '--sync-port', '0'],
  ]
  const words = ({ mainFile }: Software) => ['--disable-warning=ExperimentalWarning', mainFile, ...args]
  async function start(software: Software): Promise<void> {
    processes.start('global', process.execPath, words(software))
    await untilRuns(address, software)
  }
  await start(thisSoftware)
  await api(address).need('PUT', '/meshes/kept', { type: 'Mesh', name: 'kept' })
  const tooEarly = await run(
    process.execPath,
    words(breaking).map((word) => (word === `${port}` ? '0' : word)),
  )
  expect([tooEarly.code, tooEarly.stderr]).toEqual([
    1,
    expect.stringMatching(/expected no running replica of schema version \d+, found one: .*; stop all replicas, then/),
  ])
  expect(await schemaVersionOf('breaking')).toBe(ownSchemaVersion)
  await processes.kill('global', 'SIGTERM')
  await start(breaking)
  await api(address).need('PUT', '/meshes/later', { type: 'Mesh', name: 'later' })
  await processes.kill('global', 'SIGTERM')

  const tables = ['meta', 'head', 'records', 'versions', 'notes']
  const contents = () =>
    Promise.all(tables.map((table) => server.sql(`SELECT * FROM breaking.${table} AS one ORDER BY one::text`)))
  const before = await contents()
  const refused = await run(process.execPath, words(thisSoftware))
  expect(refused.code).toBe(1)
  expect(refused.stderr).toContain(
    `: expected schema version ${ownSchemaVersion}, found ${ownSchemaVersion + 1}: a newer version of Zonemesh has changed the tables; start that version, or restore a backup from before`,
  )
  expect(refused.stderr).not.toContain(server.password)
  expect(await contents()).toEqual(before)

  await start(breaking)
  for (const name of ['kept', 'later']) expect((await api(address).call('GET', `/meshes/${name}`)).status).toBe(200)
})
