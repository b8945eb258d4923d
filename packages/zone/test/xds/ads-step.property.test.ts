import { type TypeUrl, typeUrls, type XdsResource } from '@zonemesh/core/emit/table.ts'
import { messageOf } from '@zonemesh/shared/base/base.ts'
import { createSeededRandom } from '@zonemesh/shared/env/random.ts'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  type AdsEffect,
  type AdsState,
  createAdsState,
  defaultAdsOptions,
  doubtOf,
  type ResolvedTable,
} from '../../src/xds/ads-state.ts'
import { adsStep } from '../../src/xds/ads-step.ts'
import { isBad, ModelEnvoy } from './model-envoy.ts'

const slow = Uint8Array.from([0x42, 0]) // a cluster with a health check
const plain = new Uint8Array()

/** A table out of a few numbers: clusters that share assignments, tables and listeners that name clusters of the table. */
const tableArbitrary = fc.record({
  clusters: fc.array(
    fc.record({
      id: fc.nat(4),
      content: fc.nat(2),
      shared: fc.boolean(),
      slow: fc.boolean(),
      secret: fc.boolean(),
      bad: fc.nat(9),
    }),
    { maxLength: 5 },
  ),
  assignments: fc.array(fc.record({ content: fc.nat(2), bad: fc.nat(5) }), { minLength: 5, maxLength: 5 }),
  routes: fc.array(fc.record({ to: fc.nat(4), content: fc.nat(2), bad: fc.nat(7) }), { minLength: 2, maxLength: 2 }),
  listeners: fc.array(fc.record({ id: fc.nat(2), route: fc.option(fc.nat(1)), to: fc.nat(4), bad: fc.nat(9) }), {
    maxLength: 3,
  }),
})
type TableSeed = typeof tableArbitrary extends fc.Arbitrary<infer T> ? T : never

function makeTable(seed: TableSeed, mark: number): ResolvedTable {
  const make = (name: string, version: string, refs: Partial<XdsResource> = {}): XdsResource => ({
    name,
    version,
    bytes: plain,
    ...refs,
  })
  const label = (bad: number, ...rest: unknown[]) => `${bad === 0 ? 'bad' : 'v'}-${rest.join('-')}`
  const byId = new Map(seed.clusters.map((cluster) => [cluster.id, cluster]))
  const clusters = [...byId.values()].map((one) => {
    const assignment = `e${one.shared ? 0 : one.id}`
    const secrets = one.secret ? ['s'] : []
    const version = label(one.bad, 'c', one.id, one.content, assignment, one.slow, one.secret)
    return make(`c${one.id}`, version, { assignment, secrets, bytes: one.slow ? slow : plain })
  })
  const assignments = seed.assignments.map((one, id) => make(`e${id}`, label(one.bad, 'e', id, one.content)))
  const target = (to: number) => (byId.has(to) ? [`c${to}`] : [])
  const routes = seed.routes.map((one, id) =>
    make(`r${id}`, label(one.bad, 'r', id, one.content, ...target(one.to)), { clusters: target(one.to) }),
  )
  const listeners = [...new Map(seed.listeners.map((one) => [one.id, one])).values()].map((one) =>
    one.route === null
      ? make(`l${one.id}`, label(one.bad, 'l', one.id, ...target(one.to)), { clusters: target(one.to) })
      : make(`l${one.id}`, label(one.bad, 'l', one.id, `r${one.route}`), { routes: [`r${one.route}`] }),
  )
  const entries = (list: readonly XdsResource[]) => new Map(list.map((one) => [one.name, one]))
  return {
    mark,
    resources: new Map<TypeUrl, ReadonlyMap<string, XdsResource>>([
      [typeUrls.cluster, entries(clusters)],
      [typeUrls.assignment, entries(assignments)],
      [typeUrls.secret, entries([make('s', 'v-s')])],
      [typeUrls.route, entries(routes)],
      [typeUrls.listener, entries(listeners)],
    ]),
  }
}

/** The step and the model, with every message between them pending until the test delivers it. */
class World {
  readonly proven = new Set<string>()
  readonly envoy: ModelEnvoy
  state: AdsState
  toEnvoy: Extract<AdsEffect, { type: 'send' }>[] = []
  timers: string[] = []
  reconnected = false
  served: number[] = []
  /** What went over the stream, for a failing run. */
  log: string[] = []
  table: ResolvedTable | undefined

  constructor(seed: number) {
    const random = createSeededRandom(seed)
    this.envoy = new ModelEnvoy(random.fraction, (version) => this.proven.has(version))
    this.state = this.#fresh()
    this.envoy.connect()
  }

  #fresh(doubtful = defaultAdsOptions.doubtful): AdsState {
    return createAdsState({ ...defaultAdsOptions, doubtful, isProven: (version) => this.proven.has(version) })
  }

  run(effects: readonly AdsEffect[]): void {
    for (const effect of effects) {
      if (effect.type === 'send') this.toEnvoy.push(effect)
      if (effect.type === 'timer') this.timers.push(effect.id)
      if (effect.type === 'accepted') for (const version of effect.versions) this.proven.add(version)
      if (effect.type === 'served') this.served.push(effect.mark)
    }
  }

  give(table: ResolvedTable): void {
    this.table = table
    this.log.push(
      `table ${[...table.resources.values()].map((map) => [...map.values()].map((one) => one.version + (one.clusters ?? [])).join()).join(' | ')}`,
    )
    this.run(adsStep(this.state, { type: 'table', table }))
  }

  deliverToEnvoy(): boolean {
    const next = this.toEnvoy.shift()
    if (next)
      this.log.push(
        `-> ${next.typeUrl.split('.').at(-1)} ${next.changed.map((one) => `${one.name}@${one.version}`)} -${next.removed}`,
      )
    if (next) this.envoy.receive(next)
    return next !== undefined
  }

  deliverToServer(): boolean {
    const request = this.envoy.outbox.shift()
    if (request)
      this.log.push(
        `<- ${request.typeUrl.split('.').at(-1)} +${request.subscribe} -${request.unsubscribe} ${request.nonce} ${request.error ?? ''}`,
      )
    if (request) this.run(adsStep(this.state, { type: 'request', request }))
    return request !== undefined
  }

  fireTimer(): boolean {
    const id = this.timers.shift()
    if (id !== undefined) this.run(adsStep(this.state, { type: 'timer', id }))
    return id !== undefined
  }

  /** The stream breaks: what was under way is lost. */
  reconnect(): void {
    const doubtful = doubtOf(this.state)
    this.log.push('reconnect')
    this.reconnected = true
    this.toEnvoy = []
    this.timers = []
    this.state = this.#fresh(doubtful)
    this.envoy.connect()
    if (this.table) this.give(this.table)
  }

  settle(): void {
    for (let round = 0; round < 10_000; round++) {
      this.envoy.warmUp()
      if (this.deliverToEnvoy() || this.deliverToServer() || this.fireTimer()) continue
      return
    }
    throw new Error('it never comes to rest')
  }
}

const actionArbitrary = fc.oneof(
  { weight: 3, arbitrary: fc.record({ type: fc.constant('table' as const), seed: tableArbitrary }) },
  { weight: 8, arbitrary: fc.record({ type: fc.constantFrom('toEnvoy' as const, 'toServer' as const) }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constantFrom('timer' as const, 'warm' as const) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('reconnect' as const) }) },
)

type Action = typeof actionArbitrary extends fc.Arbitrary<infer T> ? T : never

test('X27 for any order of events Envoy is never harmed, and ends with its complete table', () => {
  fc.assert(
    fc.property(fc.array(actionArbitrary, { minLength: 5, maxLength: 60 }), fc.nat(), (actions, seed) => {
      const world = new World(seed)
      try {
        play(world, actions)
      } catch (error) {
        throw new Error(`${messageOf(error)}\n${world.log.slice(-60).join('\n')}`, { cause: error })
      }
    }),
    { numRuns: Number(process.env['RUNS'] ?? 1_500) },
  )
})

function play(world: World, actions: readonly Action[]): void {
  let mark = 0
  for (const action of actions) {
    if (action.type === 'table') world.give(makeTable(action.seed, ++mark))
    if (action.type === 'toEnvoy') world.deliverToEnvoy()
    if (action.type === 'toServer') world.deliverToServer()
    if (action.type === 'timer') world.fireTimer()
    if (action.type === 'warm') world.envoy.warmUp()
    if (action.type === 'reconnect') world.reconnect()
  }
  world.settle()
  expect(world.envoy.violations).toEqual([])
  expect(world.envoy.warming.size).toBe(0)
  if (!world.table) return
  expect(world.served.at(-1)).toBe(mark)
  for (const typeUrl of [typeUrls.cluster, typeUrls.listener, typeUrls.route, typeUrls.assignment])
    compare(world, typeUrl)
}

/** Every good resource is there; for a bad one anything older may be; and nothing that was dropped remains. */
function compare(world: World, typeUrl: TypeUrl): void {
  const held = world.envoy.held.get(typeUrl) ?? new Map()
  const target = world.table?.resources.get(typeUrl) ?? new Map()
  const blocked = (one: XdsResource) =>
    isBad(one) || (one.clusters ?? []).some((name) => !world.envoy.held.get(typeUrls.cluster)?.has(name))
  if (typeUrl === typeUrls.cluster || typeUrl === typeUrls.listener) {
    for (const [name, resource] of target)
      if (!blocked(resource)) expect(held.get(name)?.version, name).toBe(resource.version)
    // A listener that is refused, and of which an older version may be there, keeps the clusters it may use.
    const listeners = [...(world.table?.resources.get(typeUrls.listener)?.values() ?? [])]
    if (world.reconnected && typeUrl === typeUrls.cluster && listeners.some(blocked)) return
    const used = typeUrl === typeUrls.cluster ? world.envoy.usedClusters() : new Set()
    for (const name of held.keys()) expect(target.has(name) || used.has(name), `${name} is to be gone`).toBe(true)
    return
  }
  if (typeUrl === typeUrls.assignment) {
    for (const { assignment = '' } of world.envoy.held.get(typeUrls.cluster)?.values() ?? []) {
      const wanted = target.get(assignment)
      if (wanted && !isBad(wanted))
        expect(held.get(assignment)?.version, `${assignment} of a live cluster`).toBe(wanted.version)
    }
  }
  for (const [name, resource] of held) {
    const wanted = target.get(name)
    if (wanted && !isBad(wanted)) expect(resource.version, name).toBe(wanted.version)
  }
}
