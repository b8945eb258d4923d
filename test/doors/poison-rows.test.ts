import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Command, CommandError } from '@zonemesh/cli/base/command.ts'
import { loadCommands } from '@zonemesh/cli/command-line.ts'
import type { Kind } from '@zonemesh/core/kinds/kind.ts'
import { parseRow } from '@zonemesh/core/parse.ts'
import { compiledKinds, kinds, publicKinds } from '@zonemesh/core/registry.ts'
import { type RunningGlobal, startGlobal } from '@zonemesh/global/global.ts'
import { globalOptions } from '@zonemesh/global/options.ts'
import { sealedKinds } from '@zonemesh/plane/authority/sealed-rows.ts'
import { readOptions } from '@zonemesh/plane/config/options.ts'
import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import { systemClock } from '@zonemesh/shared/env/clock.ts'
import { silentLog } from '@zonemesh/shared/env/log.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import { globalOrigin, type ResourceKey } from '@zonemesh/shared/resource/resource.ts'
import { openSqliteStore } from '@zonemesh/shared/store/sqlite.ts'
import type { Change } from '@zonemesh/shared/store/store.ts'
import { zoneOptions } from '@zonemesh/zone/options.ts'
import { type RunningZone, startZone } from '@zonemesh/zone/zone.ts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { until } from '../e2e/rig.ts'

/**
 * Rows that our planes would not write, in the stores of a global and of a zone before they start, so that each also
 * gets those of the other: rows that a newer, older or broken plane may have sent.
 */
const env = { clock: systemClock, random: systemRandom, log: silentLog }
const folder = mkdtempSync(join(tmpdir(), 'zonemesh-poison-'))
let global: RunningGlobal
let zone: RunningZone

const deep = (depth: number): unknown => JSON.parse(`${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`)
const shapes: Readonly<Record<string, unknown>> = {
  number: 5,
  text: 'all',
  nothing: null,
  list: [null, 5],
  empty: {},
  fields: {
    networking: 5,
    selectors: 5,
    sources: 5,
    destinations: 5,
    conf: 5,
    from: 5,
    mtls: 5,
    enabled: 5,
    sealed: 5,
    data: 5,
    tags: 5,
    spec: 5,
    zone: 5,
    backend: 5,
    ids: 5,
    publicKey: 5,
    source: 5,
    number: 'x',
    availableServices: 5,
  },
  nulls: { networking: null, selectors: null, conf: null, from: null, mtls: null, tags: null, sealed: null },
  inbound: { networking: { address: '10.0.0.1', inbound: 5, gateway: 7, outbound: 'x' } },
  inbounds: { networking: { address: '10.0.0.1', inbound: [5, null, { port: 'x', tags: 5 }] } },
  listeners: { selectors: [5, { match: 7 }], conf: { listeners: [5], http: { rules: 5 }, tcp: { rules: [5] } } },
  backends: { mtls: { enabledBackend: 'a', backends: [5] }, sources: [null], destinations: [{ match: 5 }] },
  deep: { networking: deep(100), conf: deep(100) },
  sealed: { sealed: 'not sealed by anybody', data: 'x' },
}

const isObject = (spec: unknown): boolean => typeof spec === 'object' && spec !== null && !Array.isArray(spec)

/**
 * A plane does not start beside what its key does not open, so nothing of that kind is written. Nothing but objects passes the wire:
 * what is none stays where it is written.
 */
const shapesOf = ({ name, travel }: Kind) =>
  Object.entries(shapes).filter(([shape, spec]) =>
    shape === 'sealed' ? !sealedKinds.includes(name) : travel === 'internal' || isObject(spec),
  )

const travelling = Object.values(shapes).filter(isObject).length

const putsOf = (origin: string): Change[] =>
  kinds.flatMap((kind) =>
    shapesOf(kind).map(([shape, spec]): Change => {
      const mesh = kind.scope === 'mesh' ? 'default' : ''
      const key = { origin, kind: kind.name, mesh, name: `poison-${shape}` }
      // The specs of these rows deliberately violate their type.
      return { op: 'put', key, labels: {}, spec: spec as JsonObject }
    }),
  )

const good = {
  type: 'Dataplane',
  mesh: 'default',
  name: 'good',
  networking: { address: '10.0.0.9', inbound: [{ port: 80, tags: { 'kuma.io/service': 'web' } }] },
}

async function poison(path: string, origin: string): Promise<void> {
  const store = await openSqliteStore(env, { path: join(path, 'store.db'), horizonRevisions: 1000 })
  await store.commit({ changes: putsOf(origin), subject: 'test', intent: 'poison' })
  await store.close()
}

const freePorts = ['--host', '127.0.0.1', '--api-port', '0', '--api-tls-port', '0', '--health-port', '0']

beforeAll(async () => {
  const folders = { global: join(folder, 'global'), zone: join(folder, 'zone') }
  const readGlobal = readOptions(globalOptions, [...freePorts, '--sync-port', '0', '--data-dir', folders.global], {})
  if (!readGlobal.ok) throw new Error(readGlobal.error.message)
  await (await startGlobal(env, readGlobal.value.values, globalOptions)).close()
  await poison(folders.global, globalOrigin)
  global = await startGlobal(env, readGlobal.value.values, globalOptions)
  expect((await send(global, 'PUT', '/zones/east', { type: 'Zone', name: 'east' })).status).toBe(201)
  const token = (
    await send(global, 'POST', '/tokens/zone', { zone: 'east', scope: ['cp'], validFor: '1h' })
  ).text.trim()
  const start = () => {
    const args = [...freePorts, '--proxy-port', '0', '--dns-port', '0', '--data-dir', folders.zone]
    const read = readOptions(zoneOptions, args, {})
    if (!read.ok) throw new Error(read.error.message)
    const address = `https://127.0.0.1:${global.syncPort}`
    return startZone(env, read.value.values, { address, token, pin: global.pin }, zoneOptions)
  }
  await (await start()).close()
  await poison(folders.zone, 'east')
  zone = await start()
  await until(
    'the zone has its mesh',
    () => send(zone, 'PUT', '/meshes/default/dataplanes/good', good),
    ({ status }) => status === 201,
  )
  await until(
    'each has the rows of the other',
    async () => {
      const up = await send(global, 'GET', '/meshes/default/dataplanes?size=1000')
      const down = await send(zone, 'GET', '/meshes/default/timeouts?size=1000')
      return [up.json?.items?.length ?? 0, down.json?.items?.length ?? 0]
    },
    ([up = 0, down = 0]) => up > travelling && down >= travelling,
  )
}, 60_000)
afterAll(async () => {
  await zone?.close()
  await global?.close()
  rmSync(folder, { recursive: true, force: true })
})

type Plane = Pick<RunningGlobal, 'apiPort' | 'routes'>

async function send({ apiPort }: Pick<Plane, 'apiPort'>, method: string, path: string, body?: unknown) {
  const response = await fetch(`http://127.0.0.1:${apiPort}${path}`, {
    method,
    headers: body === undefined ? {} : { 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  const text = await response.text()
  const json = /json/.test(response.headers.get('content-type') ?? '') ? JSON.parse(text) : undefined
  return { status: response.status, text, json }
}

const planes = (): readonly (readonly [string, Plane])[] => [
  ['global', global],
  ['zone', zone],
]

/** All queries that a route may get. */
function askedOf(path: string): readonly string[] {
  const names = ['good', 'default', 'east', ...Object.keys(shapes).map((shape) => `poison-${shape}`)]
  const withMesh = path.includes(':mesh')
    ? ['default', 'poison-fields'].map((mesh) => path.replace(':mesh', mesh))
    : [path]
  const paths = withMesh.flatMap((one) =>
    one.includes(':') ? names.map((name) => one.replace(/:\w+/, name)) : [one, `${one}?size=1000`],
  )
  const filters = [
    '?tag=kuma.io/service:web',
    '?gateway=true',
    '?gateway=builtin',
    '?name=poison',
    '?filter[labels.a]=b',
  ]
  return [...paths, ...(path.includes(':name') ? [] : withMesh.flatMap((one) => filters.map((query) => one + query)))]
}

test('F24 every route of both planes that reads answers while rows of every kind cannot be parsed', async () => {
  for (const [name, plane] of planes()) {
    // A stream of events does not end.
    const readable = plane.routes
      .filter(({ method, path }) => method === 'GET' && path !== '/_events')
      .map(({ path }) => path)
    expect(readable.length).toBeGreaterThan(60)
    const questions = [
      ...readable.flatMap(askedOf),
      ...publicKinds.flatMap(({ name: kind }) => [
        `/_history?kind=${kind}&all=true`,
        `/_diff?from=@1&kind=${kind}&all=true`,
        ...Object.keys(shapes).map((shape) => `/_history?kind=${kind}&name=poison-${shape}`),
      ]),
    ]
    const failed: string[] = []
    for (const path of questions) {
      const { status, text } = await send(plane, 'GET', path)
      // No zone is joined here, so a question to a zone has no answer.
      if (status >= 500 && !text.includes(' gave no answer: ')) failed.push(`${name} ${path} ${status}`)
    }
    expect(failed).toEqual([])
  }
}, 120_000)

test('F24 writes, deletions and rollbacks beside such rows are answered, and such a row can be replaced', async () => {
  const timeout = {
    type: 'Timeout',
    mesh: 'default',
    name: 'poison-fields',
    sources: [{ match: { 'kuma.io/service': '*' } }],
    destinations: [{ match: { 'kuma.io/service': '*' } }],
    conf: { connectTimeout: '1s' },
  }
  const before = await send(global, 'GET', '/meshes/default/timeouts/poison-fields')
  expect(before.json.unparsed).toMatchObject([{ field: 'sources' }, { field: 'destinations' }, { field: 'conf' }])
  expect((await send(global, 'PUT', '/meshes/default/timeouts/poison-fields', timeout)).status).toBe(200)
  const after = await send(global, 'GET', '/meshes/default/timeouts/poison-fields')
  expect(after.json).toMatchObject({ conf: { connectTimeout: '1s' } })
  expect(after.json.unparsed).toBeUndefined()
  for (const { name: kind } of publicKinds) {
    const body = { to: '@-1', kind, dryRun: true }
    expect([kind, (await send(global, 'POST', '/_rollback', body)).status]).not.toEqual([kind, 500])
  }
  expect((await send(global, 'DELETE', '/meshes/default/timeouts/poison-nulls')).status).toBe(200)
})

test('F24 lists name a row that cannot be parsed with its reason, and show the other rows unchanged', async () => {
  for (const [, plane] of planes()) {
    for (const path of ['/dataplanes?size=1000', '/meshes/default/dataplanes?size=1000']) {
      const { json } = await send(plane, 'GET', path)
      const items: readonly JsonObject[] = json.items
      const shown = items.find((one) => String(one['name']).startsWith('good'))
      expect(shown).toMatchObject({ networking: { address: '10.0.0.9' } })
      const bad = items.find((one) => String(one['name']).startsWith('poison-inbound'))
      expect(bad).toMatchObject({ unparsed: [{ field: 'networking.inbound' }, {}, {}] })
      expect(bad).not.toHaveProperty('networking')
    }
    const { json } = await send(plane, 'GET', '/dataplanes/_overview?size=1000')
    const items: readonly JsonObject[] = json.items
    expect(items.find((one) => String(one['name']).startsWith('poison-fields'))).toMatchObject({
      dataplane: {},
      unparsed: [{ field: 'networking' }],
    })
  }
})

test('F24 the status of both planes lists each such row with its reason, and the global lists those of its zones', async () => {
  for (const [, plane] of planes()) {
    const { json } = await send(plane, 'GET', '/_status')
    const found: readonly JsonObject[] = json.unparsed
    expect(found).toContainEqual({
      kind: 'Dataplane',
      mesh: 'default',
      name: 'poison-inbound',
      origin: 'east',
      reason: expect.stringMatching(/^networking\.inbound: /),
    })
    expect(found.filter(({ kind }) => kind === 'Retry').length).toBeGreaterThanOrEqual(2)
  }
  // The zone reports rows of the kinds that it compiles.
  const { json } = await send(zone, 'GET', '/_status')
  const quarantined: readonly JsonObject[] = json.quarantined
  for (const { name: kind } of compiledKinds) {
    const rows = quarantined.filter(({ key }) => String(key).split('/')[1] === kind)
    expect([kind, rows.length > 0]).toEqual([kind, true])
  }
})

/** Runs a command as the command line does; any error other than a refusal is a bug. */
async function run(command: Command, args: readonly string[]) {
  const read = readOptions(command.options, args, {})
  if (!read.ok) throw new Error(`${command.name} ${args.join(' ')}: ${read.error.message}`)
  const lines: string[] = []
  const print = (line: string) => void lines.push(line)
  const { values, positionals } = read.value
  const context = { positionals, signal: AbortSignal.timeout(20_000), print, note: print }
  try {
    const code = await command.run(values, context)
    return { code, text: lines.join('\n') }
  } catch (thrown) {
    if (!(thrown instanceof CommandError)) throw thrown
    return { code: thrown.exitCode, text: thrown.message }
  }
}

/** Commands that read planes, with their arguments. All other commands run planes, write, or inject faults. */
function questionsOf({ zonePort, dnsPort }: { readonly zonePort: number; readonly dnsPort: number }) {
  const words = publicKinds.map(({ name }) => name.toLowerCase())
  const way = ['http://web.mesh/', '--zone', `east=http://127.0.0.1:${zonePort}`, '--from']
  const proxies = ['east/good', 'east/poison-inbound']
  return new Map<string, readonly (readonly string[])[]>([
    ['status', [[], ['-o', 'json'], ['--wait', '--timeout', '1ms']]],
    ['check', [[], ['-o', 'json']]],
    ['top', [['--once']]],
    [
      'get',
      words.flatMap((word) => [
        ...['wide', 'yaml'].map((form) => [word, '-o', form]),
        ...['poison-fields', 'good'].map((name) => [word, name]),
      ]),
    ],
    ['describe', words.flatMap((word) => ['poison-fields', 'good', 'default', 'east'].map((name) => [word, name]))],
    ['api-resources', [[]]],
    ['history', [['--limit', '50', '--all'], ...words.map((word) => [`${word}/poison-fields`, '-o', 'wide'])]],
    ['diff', [['@1..@head'], ['@1', '-o', 'table'], ['@1', '--all', '-o', 'yaml']]],
    [
      'explain',
      proxies.flatMap((proxy) => [
        [...way, proxy],
        [...way, proxy, '-o', 'json'],
      ]),
    ],
    ['doctor', proxies.map((proxy) => [...way, proxy])],
    ...['config', 'clusters', 'listeners', 'stats'].map((view): [string, string[][]] => [
      `proxy ${view}`,
      [['poison-fields'], ['poison-inbound', '-o', 'json'], ['good']],
    ]),
    ['resolve', [['web.mesh', '--at', `127.0.0.1:${dnsPort}`]]],
    ['version', [[]]],
  ])
}

const others =
  /^(init|up|logs|down|demo|echo|envoy|schema|validate|global|zone|dataplane|apply|delete|rollback|token|context|completion|chaos|edit|dump|sync|sysdump)\b/

test('F24 every command that reads answers, for the global and for the zone', async () => {
  const questions = questionsOf({ zonePort: zone.apiPort, dnsPort: zone.dnsPort })
  for (const command of await loadCommands()) {
    const asked = questions.get(command.name)
    expect([command.name, asked !== undefined]).toEqual([command.name, !others.test(command.name)])
    for (const args of asked ?? []) {
      for (const [, { apiPort }] of planes()) {
        const where = 'address' in command.options ? ['--address', `http://127.0.0.1:${apiPort}`] : []
        const { code, text } = await run(command, [...args, ...where])
        expect(code, `${command.name} ${args.join(' ')}: ${text}`).toBeLessThan(2)
        expect(text).not.toMatch(/Internal Server Error|TypeError|Cannot read/)
      }
    }
  }
  const [status] = (await loadCommands()).filter(({ name }) => name === 'status')
  const shown = status && (await run(status, ['--address', `http://127.0.0.1:${global.apiPort}`]))
  expect(shown?.text).toMatch(/cannot be parsed: Dataplane default\/poison-inbound of zone east: networking\.inbound: /)
}, 120_000)

test('F24 explain names a proxy whose row cannot be parsed', async () => {
  const [explain] = (await loadCommands()).filter(({ name }) => name === 'explain')
  const args = ['http://web.mesh/', '--from', 'east/poison-inbound', '--address', `http://127.0.0.1:${zone.apiPort}`]
  const shown = explain && (await run(explain, args))
  expect(shown?.text).toMatch(/Dataplane poison-inbound of zone east cannot be parsed: networking\.inbound: /)
})

test('F24 a proxy beside such rows keeps its name, and its zone keeps its session', async () => {
  const { json } = await send(global, 'GET', '/_status')
  const zones: readonly JsonObject[] = json.zones
  expect(zones.find((one) => one['zone'] === 'east')).toMatchObject({ connected: true, enabled: true })
  const keys: readonly ResourceKey[] = putsOf('east').map(({ key }) => key)
  expect(keys.length).toBe(kinds.flatMap(shapesOf).length)
  const unparsed = putsOf(globalOrigin).filter((change) => {
    const stamp = { incarnation: 1, originRevision: 1, createdAtMs: 0, modifiedAtMs: 0 }
    return change.op === 'put' && !parseRow({ key: change.key, stamp, labels: {}, spec: change.spec }).ok
  })
  // Most rows are invalid for their kind; the others are harmless there.
  expect(unparsed.length).toBeGreaterThan(kinds.length * 5)
})
