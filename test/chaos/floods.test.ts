import { performance } from 'node:perf_hooks'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { api, statusOf, until } from '../e2e/rig.ts'
import { startVictim, type Victim } from './rig.ts'

// Large amounts of input, some of it invalid, on one demo.
let victim: Victim
beforeAll(async () => {
  victim = await startVictim(303)
})
afterAll(() => victim[Symbol.asyncDispose]())

const commitRows = 500

/** Writes documents in commits of 500; returns the receipt of the last. */
async function commit(address: string, documents: readonly object[], intent: string): Promise<string> {
  let revision = ''
  for (let at = 0; at < documents.length; at += commitRows) {
    const part = { documents: documents.slice(at, at + commitRows), intent }
    const reply = await api(address).need('POST', '/_commit', part)
    // The plane answers with this shape.
    const said = reply.json as { readonly revision: string; readonly outcomes: readonly { readonly outcome: string }[] }
    expect(said.outcomes.filter(({ outcome }) => outcome === 'refused')).toEqual([])
    revision = said.revision
  }
  return revision
}

const timeout = (index: number) => ({
  type: 'Timeout',
  mesh: victim.demo.names.mesh,
  name: `flood-${String(index).padStart(5, '0')}`,
  sources: [{ match: { 'kuma.io/service': `nobody-${index}` } }],
  destinations: [{ match: { 'kuma.io/service': `nobody-${index}` } }],
  conf: { connectTimeout: '3s' },
})

const dataplane = (index: number) => ({
  type: 'Dataplane',
  mesh: victim.demo.names.mesh,
  name: `flood-${String(index).padStart(5, '0')}`,
  networking: {
    // The address of another machine: on this one, a port might be one of the planes.
    address: '192.0.2.1',
    inbound: [
      { port: 20_000 + index, tags: { 'kuma.io/service': `flood_${index % 50}_svc_80`, 'kuma.io/protocol': 'http' } },
    ],
  },
})

const count = async (address: string, path: string): Promise<number> =>
  // The plane answers with its own list type.
  ((await api(address).need('GET', `${path}?size=1`)).json as { readonly total: number }).total

test('F13 2,000 policies go down and 2,000 proxies go up at once: all arrive within 30 s, in the same sessions', async () => {
  const { globalAddress, zones } = victim.demo
  const epochs = async () => (await statusOf(globalAddress)).zones.map(({ epoch }) => epoch)
  const before = await epochs()
  const proxies = await count(globalAddress, '/dataplanes')
  const indexes = Array.from({ length: 2_000 }, (_, index) => index)
  const startMs = performance.now()
  await Promise.all([
    commit(globalAddress, indexes.map(timeout), 'down'),
    commit(zones.west.apiAddress, indexes.map(dataplane), 'up'),
  ])
  const arrived = async () => [
    await count(zones.east.apiAddress, '/timeouts'),
    await count(zones.west.apiAddress, '/timeouts'),
    await count(globalAddress, '/dataplanes'),
  ]
  await until(
    'all has arrived',
    arrived,
    ([east = 0, west = 0, global = 0]) => east > 2_000 && west > 2_000 && global === proxies + 2_000,
    30_000,
  )
  expect(performance.now() - startMs).toBeLessThan(30_000)
  expect(await epochs()).toEqual(before)
})

test('F14 behind a burst of 2,000 changes in commits of 500, every zone stores a single change within a second', async () => {
  const { globalAddress } = victim.demo
  const indexes = Array.from({ length: 2_000 }, (_, index) => 2_000 + index)
  const burst = commit(globalAddress, indexes.map(timeout), 'burst')
  await burst
  const startMs = performance.now()
  const one = await commit(globalAddress, [{ ...timeout(0), conf: { connectTimeout: '4s' } }], 'one change by hand')
  const receipt = await api(globalAddress).need(
    'GET',
    `/_receipts/${encodeURIComponent(one)}?wait=stored@all&timeout=20s`,
  )
  expect(receipt.json).toMatchObject({ complete: true })
  expect(performance.now() - startMs).toBeLessThan(1_000)
})

const mesh = 'default'
const selectors = [{ match: { 'kuma.io/service': '*' } }]
const rules = (match: object) => ({
  http: { rules: [{ matches: [{ path: match }], backends: [{ destination: { 'kuma.io/service': 'x' } }] }] },
})
const route = (name: string, conf: unknown) => ({ type: 'MeshGatewayRoute', mesh, name, selectors, conf })
const deep = (levels: number): unknown => (levels === 0 ? 1 : { deeper: deep(levels - 1) })
/** Each document has another mistake. */
const poison: readonly unknown[] = [
  { type: 'NoSuchKind', mesh, name: 'unknown-kind' },
  { type: 'Timeout', mesh, name: 'no-conf' },
  { type: 'Timeout', mesh, name: 'UPPER CASE', sources: selectors, destinations: selectors, conf: {} },
  { type: 'Timeout', mesh, name: 'x'.repeat(300), sources: selectors, destinations: selectors, conf: {} },
  { type: 'Timeout', mesh: 'no-such-mesh', name: 'elsewhere', sources: selectors, destinations: selectors, conf: {} },
  { type: 'Timeout', mesh, name: 'wrong-type', sources: 7, destinations: selectors, conf: { connectTimeout: [] } },
  {
    type: 'Timeout',
    mesh,
    name: 'bad-duration',
    sources: selectors,
    destinations: selectors,
    conf: { connectTimeout: '5 parsecs' },
  },
  route('bad-regex', rules({ match: 'REGEX', value: '(((' })),
  route('unknown-enum', rules({ match: 'SOMEHOW', value: '/' })),
  route('deep', deep(100)),
  route('prototype', JSON.parse('{"__proto__": {"polluted": true}, "constructor": {"prototype": {"polluted": true}}}')),
  route('long-text', rules({ match: 'PREFIX', value: 'no-slash'.repeat(100_000) })),
  route('list-for-object', []),
  null,
  'text',
  42,
  [],
]

test('F24 bad documents among 200 good ones: each bad one is refused with a reason, each good one arrives, nothing restarts', async () => {
  const { globalAddress, zones, processes } = victim.demo
  const pids = () => ['global', 'zone-east', 'zone-west'].map((name) => processes.get(name)?.pid)
  const before = pids()
  const good = Array.from({ length: 200 }, (_, index) => timeout(10_000 + index))
  const documents = [...good.slice(0, 100), ...poison, ...good.slice(100)]
  const reply = await api(globalAddress).need('POST', '/_commit', { documents, intent: 'poison' })
  const { revision, outcomes } = reply.json as {
    readonly revision: string
    readonly outcomes: readonly { readonly index: number; readonly outcome: string; readonly detail?: string }[]
  } // the plane's own shape
  const refused = outcomes.filter(({ outcome }) => outcome === 'refused')
  expect(refused.map(({ index }) => index).sort((a, b) => a - b)).toEqual(poison.map((_, index) => 100 + index))
  for (const one of refused) expect(one.detail, JSON.stringify(one)).toMatch(/\S/)
  const startMs = performance.now()
  const receipt = await api(globalAddress).need(
    'GET',
    `/_receipts/${encodeURIComponent(revision)}?wait=stored@all&timeout=20s`,
  )
  expect(receipt.json).toMatchObject({ complete: true })
  expect(performance.now() - startMs).toBeLessThan(2_000)
  const last = `/meshes/${mesh}/timeouts?name=flood-10199`
  for (const address of [globalAddress, zones.east.apiAddress]) expect(await countOf(address, last)).toBe(1)
  expect(pids()).toEqual(before)
  expect(Reflect.get({}, 'polluted')).toBeUndefined()
})

const countOf = async (address: string, path: string): Promise<number> =>
  // The plane answers with its own list type.
  ((await api(address).need('GET', path)).json as { readonly total: number }).total
