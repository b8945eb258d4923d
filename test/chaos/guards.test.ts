import { chmodSync, cpSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { nodeFlags } from '@zonemesh/cli/base/node-flags.ts'
import { freePorts } from '@zonemesh/cli/scene/ports.ts'
import { createProcesses, type Processes } from '@zonemesh/cli/scene/processes.ts'
import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import { systemClock } from '@zonemesh/shared/env/clock.ts'
import { silentLog } from '@zonemesh/shared/env/log.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import { openSqliteStore } from '@zonemesh/shared/store/sqlite.ts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { api, type Folder, local, type Outcome, root, run, statusOf, temporaryFolder, until } from '../e2e/rig.ts'
import { readPage } from './rig.ts'

/** The page for operators in this situation: this test runs the commands of the page. */
const page = readPage('docs/when-a-store-is-lost.md')

let folder: Folder
let processes: Processes
/** A machine: the address of its API, and the settings of the planes on it. */
interface Machine {
  readonly address: string
  readonly ports: Readonly<Record<string, number>>
}
let ofGlobal: Machine
let ofEast: Machine

async function machine(): Promise<Machine> {
  const [API_PORT = 0, SYNC_PORT = 0, DNS_PORT = 0] = await freePorts(systemRandom, 3)
  const ports = { API_PORT, SYNC_PORT, API_TLS_PORT: 0, HEALTH_PORT: 0, PROXY_PORT: 0, DNS_PORT }
  return { address: `http://${local}:${API_PORT}`, ports }
}

/** A command line as typed on that machine. */
function script(at: Machine, line: string): string[] {
  const settings = { HOST: local, ADDRESS: at.address, ...at.ports }
  const environment = Object.entries(settings).map(([name, value]) => `export ZONEMESH_${name}=${value}`)
  return ['-c', [...environment, `export PATH=${folder.path}/bin:$PATH`, `cd ${folder.path}`, line].join('\n')]
}

/** Runs a command line that the page does not contain; `type` is for lines of the page. */
const typeAlso = (at: Machine, line: string): Promise<Outcome> => run('sh', script(at, line))
const startAlso = (at: Machine, name: string, line: string) => processes.start(name, 'sh', script(at, `exec ${line}`))

async function type(at: Machine, line: string): Promise<string> {
  const { code, stdout, stderr } = await typeAlso(at, page.line(line))
  // A command that makes a join string also prints the addresses in it.
  const warnings = stderr.replace(/^the join string holds \S+\nthis string works on this machine only: .*\n/, '')
  expect([line, code, warnings]).toEqual([line, 0, ''])
  return stdout
}

async function startGlobal(line = 'zonemesh global --data-dir ./global'): Promise<void> {
  startAlso(ofGlobal, 'global', page.line(line))
  await untilAnswers(ofGlobal)
}
const startEast = () =>
  startAlso(ofEast, 'zone-east', page.line('zonemesh zone --join-file east.join --data-dir ./east'))
const untilAnswers = ({ address }: Machine) =>
  until(
    `${address} answers`,
    () => api(address).call('GET', '/'),
    ({ status }) => status === 200,
  )
const stop = (name: string) => processes.kill(name, 'SIGTERM')

const zoneSeen = async (name = 'east', at = ofGlobal): Promise<JsonObject> => {
  const { zones } = await statusOf(at.address)
  // The plane answers with more than the tests of others read.
  return (zones.find(({ zone }) => zone === name) ?? {}) as JsonObject
}
const uplinkOf = async ({ address }: Machine): Promise<JsonObject> => (await statusOf(address)).uplink
// An uplink reports this shape, or nothing.
const holdOf = (uplink: JsonObject) => uplink['hold'] as { readonly id: string; readonly reason: string } | undefined
const untilHeld = () =>
  until(
    'east holds',
    () => uplinkOf(ofEast),
    (uplink) => holdOf(uplink) !== undefined,
  )
/** Both ends must report it at the same time, so that neither report is about an earlier session. */
const untilCurrent = () =>
  until(
    'east is current',
    async () => [await uplinkOf(ofEast), await zoneSeen()],
    ([uplink, seen]) => uplink?.['current'] === true && seen?.['current'] === true,
  )

async function count({ address }: Machine, path = '/timeouts'): Promise<number> {
  // The plane answers with its own list type.
  return ((await api(address).need('GET', path)).json as { readonly total: number }).total
}
const untilCount = (at: Machine, expected: number, path = '/timeouts') =>
  until(
    `${expected} of ${path}`,
    () => count(at, path),
    (found) => found === expected,
  )

const numbers = (of: number) => Array.from({ length: of }, (_, index) => index)
const timeout = (name: string): string => `type: Timeout
mesh: default
name: ${name}
sources: [{ match: { kuma.io/service: '*' } }]
destinations: [{ match: { kuma.io/service: '*' } }]
conf: { connectTimeout: 1s }
`

beforeAll(async () => {
  folder = temporaryFolder()
  processes = createProcesses(folder.path)
  for (const name of ['bin', 'policies']) mkdirSync(join(folder.path, name))
  const main = join(root, 'packages/cli/src/main.ts')
  const command = [process.execPath, ...nodeFlags, main].join(' ')
  chmodSync(folder.file('bin/zonemesh', `#!/bin/sh\nexec ${command} "$@"\n`), 0o755)
  folder.file(
    'policies/timeouts.yaml',
    numbers(20)
      .map((at) => timeout(`t${at}`))
      .join('---\n'),
  )
  folder.file(
    'more.yaml',
    numbers(5)
      .map((at) => timeout(`more${at}`))
      .join('---\n'),
  )
  ofGlobal = await machine()
  ofEast = await machine()
  await startGlobal()
  await type(ofGlobal, 'zonemesh token zone east > east.join')
  startEast()
  await type(ofGlobal, 'zonemesh apply -f policies')
  await untilCount(ofEast, 20)
  await untilCurrent()
})
afterAll(async () => {
  await processes.stop()
  folder[Symbol.dispose]()
})

/** A commit that APIs and zones do not allow: it removes all rows of a kind without declaring it. */
async function removeByAnotherWay(): Promise<void> {
  const again = await stop('global')
  const path = join(folder.path, 'global/store.db')
  const deps = { clock: systemClock, random: systemRandom, log: silentLog }
  const store = await openSqliteStore(deps, { path, horizonRevisions: 10_000 })
  const rows = await store.scan({ kind: 'Timeout', origin: 'global' })
  const changes = rows.map(({ key }) => ({ op: 'delete', key }) as const)
  await store.commit({ changes, subject: 'a script', intent: 'clean up' })
  await store.close()
  again()
  await untilAnswers(ofGlobal)
}

test('F26 a mass removal gets 409 at the source, passes if declared, and is held by zones if it arrives in another way', async () => {
  const refused = await typeAlso(ofGlobal, 'zonemesh delete -f policies')
  expect(refused.code).toBe(1)
  expect(refused.stderr).toMatch(/this commit removes 20 of 20 Timeout/)
  expect(refused.stderr.match(/Timeout default\/t\d+: would be removed/g)).toHaveLength(20)
  expect(await count(ofGlobal)).toBe(20)
  const declared = await typeAlso(ofGlobal, 'zonemesh delete -f policies --yes-remove-many')
  expect(declared.code).toBe(0)
  await untilCount(ofEast, 0)
  expect(holdOf(await uplinkOf(ofEast))).toBeUndefined()
  await type(ofGlobal, 'zonemesh apply -f policies')
  await untilCount(ofEast, 20)

  await removeByAnotherWay()
  const held = await untilHeld()
  expect(held).toMatchObject({ phase: 'connected', current: false, hold: { removals: 20 } })
  await until('the global knows', zoneSeen, ({ holds }) => Array.isArray(holds) && holds.length === 1)
  const shown = await type(ofGlobal, 'zonemesh status')
  expect(shown).toMatch(/^east +held +/m)
  expect(shown).toMatch(
    /^held in east: revision \d+ of the global removes 20 of 20 Timeout without declared intent; 20 rows/m,
  )
  expect(await type(ofEast, 'zonemesh status')).toMatch(
    /^held in east: revision .*zonemesh zone release east --hold commit:/m,
  )
  expect([await count(ofGlobal), await count(ofEast)]).toEqual([0, 20])
  expect(await type(ofGlobal, 'zonemesh history --limit 5')).toMatch(/a script +clean up/)
  await type(ofGlobal, 'zonemesh rollback @-1')
  await untilCurrent()
  expect([await count(ofGlobal), await count(ofEast)]).toEqual([20, 20])

  await removeByAnotherWay()
  await untilHeld()
  await until('the global knows', zoneSeen, ({ holds }) => Array.isArray(holds) && holds.length === 1)
  expect(await type(ofGlobal, 'zonemesh zone release east')).toMatch(/^asked zone east to release: revision /)
  await untilCount(ofEast, 0)
  await untilCurrent()
  await type(ofGlobal, 'zonemesh apply -f policies')
  await untilCount(ofEast, 20)
})

async function restore(): Promise<void> {
  await type(ofGlobal, 'rm -f global/store.db*')
  await type(ofGlobal, 'cp global-backup/store.db global/store.db')
  await startGlobal()
}
const releaseByGlobal = async () => {
  await until('the global knows', zoneSeen, ({ holds }) => Array.isArray(holds) && holds.length === 1)
  await type(ofGlobal, 'zonemesh zone release east')
}

test('F18 the store of the global is rolled back, with and without new writes: changes are held, and nothing is deleted until a release', async () => {
  await untilCurrent()
  await stop('global')
  mkdirSync(join(folder.path, 'global-backup'))
  cpSync(join(folder.path, 'global/store.db'), join(folder.path, 'global-backup/store.db'))
  await startGlobal()
  await typeAlso(ofGlobal, 'zonemesh apply -f more.yaml')
  await untilCount(ofEast, 25)
  await stop('global')
  await restore()
  expect(holdOf(await untilHeld())?.reason).toMatch(/^the store of the global is rolled back: /)
  expect([await count(ofGlobal), await count(ofEast)]).toEqual([20, 25])
  await releaseByGlobal()
  await untilCount(ofEast, 20)
  await untilCurrent()

  await typeAlso(ofGlobal, 'zonemesh apply -f more.yaml')
  await untilCount(ofEast, 25)
  await untilCurrent()
  const known = Number((await uplinkOf(ofEast))['revision'])
  const startEastAgain = await stop('zone-east')
  await stop('global')
  await restore()
  for (let at = 0; (await statusOf(ofGlobal.address)).revision <= known; at += 1)
    await api(ofGlobal.address).need('PUT', `/meshes/past${at}`, { type: 'Mesh', name: `past${at}` })
  startEastAgain()
  await untilAnswers(ofEast)
  expect(holdOf(await untilHeld())?.reason).toMatch(/^the store of the global has another history: /)
  expect([await count(ofEast), await count(ofEast, '/meshes')]).toEqual([25, 1])
  await releaseByGlobal()
  await untilCount(ofEast, 20)
  await untilCurrent()
  expect(await count(ofEast, '/meshes')).toBe(await count(ofGlobal, '/meshes'))
})

test('F20 a zone reaches another global: both ends refuse, and the zone keeps its rows', async () => {
  const other = await machine()
  startAlso(other, 'global-other', 'zonemesh global --data-dir ./other')
  await untilAnswers(other)
  await typeAlso(other, 'zonemesh token zone east > other.join')
  await stop('zone-east')
  startAlso(ofEast, 'zone-east', 'zonemesh zone --join-file other.join --data-dir ./east')
  await untilAnswers(ofEast)
  const refused = await until(
    'east refuses',
    () => uplinkOf(ofEast),
    ({ phase }) => phase === 'refused',
  )
  const { store } = await statusOf(other.address)
  expect(refused).toMatchObject({
    current: false,
    reason: expect.stringMatching(/^expected the global whose store is \S+, found one whose store is /),
    hold: { id: `global:${store}` },
  })
  const seen = await until(
    'the other global says so',
    () => zoneSeen('east', other),
    ({ lastEnd }) => lastEnd !== undefined,
  )
  expect(seen).toMatchObject({ current: false, lastEnd: { code: 'wrong-global' } })
  await until(
    'its status says so',
    async () => (await typeAlso(other, 'zonemesh status')).stdout,
    (text) => /^east +refused .*expected the global whose store is/m.test(text),
  )
  expect(await type(ofEast, 'zonemesh status')).toMatch(/^uplink refused: expected the global whose store is /m)
  expect(await count(ofEast)).toBe(20)
  await stop('global-other')
  await stop('zone-east')
  startEast()
  await untilAnswers(ofEast)
  await untilCurrent()
  expect(await count(ofEast)).toBe(20)
})

const dataplane = (name: string, port: number) => ({
  type: 'Dataplane',
  mesh: 'default',
  name,
  networking: { address: '127.0.0.1', inbound: [{ port, tags: { 'kuma.io/service': name } }] },
})
const putDataplane = (at: number) =>
  api(ofEast.address).need('PUT', `/meshes/default/dataplanes/d${at}`, dataplane(`d${at}`, 20_000 + at))

test('F22 the store of a zone is lost: the zone recovers under its name, and its former rows can be kept', async () => {
  for (const at of numbers(3)) await putDataplane(at)
  await untilCount(ofGlobal, 3, '/dataplanes')
  await stop('zone-east')
  await typeAlso(ofEast, 'rm -f east/store.db*')
  startEast()
  await untilAnswers(ofEast)
  expect(readFileSync(join(folder.path, 'zone-east.log'), 'utf8')).toMatch(
    /found a new and empty one .*; continuing with it/,
  )
  await untilCount(ofEast, 20)
  await untilCurrent()
  expect(await count(ofEast, '/dataplanes')).toBe(0)
  await putDataplane(0)
  const { remains } = await until('what remains is told', zoneSeen, (seen) => seen['remains'] !== undefined)
  expect(remains).toEqual({ rows: expect.any(Number), expiresInMs: expect.any(Number) })
  expect((remains as JsonObject)['expiresInMs']).toBeGreaterThan(280_000)
  expect(await count(ofGlobal, '/dataplanes')).toBe(3)
  expect(await type(ofGlobal, 'zonemesh status')).toMatch(
    /^remains of a former store of east: \d+ rows, which are removed in (4m \d+s|5m); keep them with: zonemesh zone keep east$/m,
  )
  await type(ofGlobal, 'zonemesh zone keep east')
  await until('nothing is about to go', zoneSeen, (seen) => seen['remains'] === undefined)
  expect(await count(ofGlobal, '/dataplanes')).toBe(3)
  await untilCurrent()
})

test('F22 G9 a zone that lost its store gives no address of a former service to another one', async () => {
  const addressOf = async (at: number): Promise<string> => {
    const asked = () => typeAlso(ofEast, `zonemesh resolve d${at}.mesh --at ${local}:${ofEast.ports['DNS_PORT']}`)
    const { stdout } = await until(`d${at}.mesh has an address`, asked, ({ code }) => code === 0)
    return stdout.trim()
  }
  for (const at of numbers(3)) await putDataplane(at)
  const former = [await addressOf(0), await addressOf(1), await addressOf(2)]
  expect(new Set(former).size).toBe(3)
  await stop('zone-east')
  await typeAlso(ofEast, 'rm -f east/store.db*')
  startEast()
  await untilAnswers(ofEast)
  await untilCount(ofEast, 20)
  // The order differs and a service is new, so the lowest free numbers would be those of other services.
  for (const at of [9, 2]) await putDataplane(at)
  expect(former).not.toContain(await addressOf(9))
  const [first, second] = former
  expect([first, second]).not.toContain(await addressOf(2))
  await api(ofEast.address).need('DELETE', '/meshes/default/dataplanes/d9')
  await untilCurrent()
})

test('F23 two processes of one zone: the younger takes over once, and the older is refused from then on', async () => {
  const machines = [await machine(), await machine()] as const
  const [older, younger] = machines
  await typeAlso(ofGlobal, 'zonemesh token zone west > west.join')
  startAlso(older, 'zone-west', 'zonemesh zone --join-file west.join --data-dir ./west')
  await until(
    'west is current',
    () => zoneSeen('west'),
    ({ current }) => current === true,
  )
  await stop('zone-west')
  cpSync(join(folder.path, 'west'), join(folder.path, 'west-copy'), { recursive: true })
  startAlso(older, 'zone-west', 'zonemesh zone --join-file west.join --data-dir ./west')
  await until(
    'the older one is there',
    () => uplinkOf(older),
    ({ current }) => current === true,
  )
  const { epoch: before } = await zoneSeen('west')
  startAlso(younger, 'zone-west-copy', 'zonemesh zone --join-file west.join --data-dir ./west-copy')
  const refused = await until(
    'the older one is refused',
    () => uplinkOf(older),
    ({ phase }) => phase === 'refused',
  )
  expect(refused['reason']).toMatch(
    /^another control plane runs as this zone: \S+, started \S+, with the same store; stop one of the two$/,
  )
  const shown = await type(ofGlobal, 'zonemesh status')
  expect(shown).toMatch(/^refused \S+ ago: a session of zone west: another control plane runs as this zone: /m)
  expect(shown).toMatch(/^west +(current|behind) +/m)
  const refusals = () =>
    readFileSync(join(folder.path, 'global.log'), 'utf8').match(
      /refused a session: another control plane runs as this zone: /g,
    )?.length ?? 0
  await until('the older one has tried again', refusals, (found) => found >= 2)
  const after = await zoneSeen('west')
  expect(after).toMatchObject({ connected: true, epoch: Number(before) + 1, lastEnd: { code: 'held-by-another' } })
  expect(await uplinkOf(younger)).toMatchObject({ phase: 'connected', epoch: after['epoch'] })
  await stop('zone-west')
  await stop('zone-west-copy')
})

test('F17 the store of the global is emptied: the global does not serve, and zones keep their rows and accept the new store only on request', async () => {
  await stop('global')
  await typeAlso(ofGlobal, 'rm global/store.db*')
  const refused = await typeAlso(ofGlobal, 'zonemesh global --data-dir ./global')
  expect(refused.code).toBe(1)
  expect(refused.stderr.trim().split('\n')).toEqual([
    expect.stringMatching(
      /^zonemesh global: expected store \S+, .* found a new and empty one .*zonemesh global recover .*--accept-new-store$/,
    ),
  ])
  await startGlobal('zonemesh global --data-dir ./global --accept-new-store')
  // The token was signed by the store that is lost.
  const outside = await until(
    'east is refused',
    () => uplinkOf(ofEast),
    ({ phase }) => phase === 'refused',
  )
  expect(outside['reason']).toMatch(/there is no zone token signing key/)
  expect(await count(ofEast)).toBe(20)

  folder.file('policies/timeouts.yaml', timeout('only'))
  await type(ofGlobal, 'zonemesh apply -f policies')
  await type(ofGlobal, 'zonemesh token zone east > east.join')
  await stop('zone-east')
  startEast()
  await untilAnswers(ofEast)
  const { store } = await statusOf(ofGlobal.address)
  const held = await until(
    'east refuses',
    () => uplinkOf(ofEast),
    (uplink) => holdOf(uplink) !== undefined,
  )
  expect(held).toMatchObject({ phase: 'refused', current: false, hold: { id: `global:${store}`, removals: 0 } })
  const byGlobal = await typeAlso(ofGlobal, 'zonemesh zone release east')
  expect(byGlobal.stderr).toMatch(/is not connected to this control plane: run the command against the zone itself/)
  expect([await count(ofEast), await count(ofEast, '/dataplanes')]).toEqual([20, 1])
  expect(await type(ofEast, 'zonemesh zone release east')).toMatch(
    /^zone east releases: expected the global whose store/,
  )
  await untilCount(ofEast, 1)
  await untilCurrent()
  // The own rows of the zone are unchanged, and the new global has them now.
  await untilCount(ofGlobal, 1, '/dataplanes')
  expect(await count(ofEast, '/dataplanes')).toBe(1)
})

test('E29 these tests ran every command of docs/when-a-store-is-lost.md', () => {
  expect(page.untyped()).toEqual([])
})
