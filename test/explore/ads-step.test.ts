import { type TypeUrl, typeUrls, type XdsResource } from '@zonemesh/core/emit/table.ts'
import {
  type AdsEffect,
  type AdsState,
  createAdsState,
  defaultAdsOptions,
  type ResolvedTable,
} from '@zonemesh/zone/xds/ads-state.ts'
import { adsStep } from '@zonemesh/zone/xds/ads-step.ts'
import { describe, expect, it } from 'vitest'
import { isBad, ModelEnvoy } from '../../packages/zone/test/xds/model-envoy.ts'
import { replay } from './explore.ts'

const none = new Uint8Array()
const make = (name: string, version: string, refs: Partial<XdsResource> = {}): XdsResource => ({
  name,
  version,
  bytes: none,
  ...refs,
})

interface Wanted {
  /** Versions of the clusters c1 and c2, if they are requested. */
  readonly c1?: string
  readonly c2?: string
  readonly route: string
  readonly to: 'c1' | 'c2'
}

/** One listener, one route table, and one or two clusters with their assignments. */
function tableOf({ c1, c2, route, to }: Wanted, mark: number): ResolvedTable {
  const clusters = Object.entries({ c1, c2 }).flatMap(([name, version]) =>
    version === undefined ? [] : [make(name, version, { assignment: `e-${name}` })],
  )
  const entries = (list: readonly XdsResource[]) => new Map(list.map((one) => [one.name, one]))
  return {
    mark,
    resources: new Map<TypeUrl, ReadonlyMap<string, XdsResource>>([
      [typeUrls.cluster, entries(clusters)],
      [typeUrls.assignment, entries(clusters.map(({ name }) => make(`e-${name}`, `v-e-${name}`)))],
      [typeUrls.secret, new Map()],
      [typeUrls.route, entries([make('r', route, { clusters: [to] })])],
      [typeUrls.listener, entries([make('l', 'v-l', { routes: ['r'] })])],
    ]),
  }
}

const scripts: readonly { readonly name: string; readonly tables: readonly Wanted[] }[] = [
  {
    name: 'a route moves to a new cluster, and the former cluster is removed',
    tables: [
      { c1: 'v1', route: 'v-r1', to: 'c1' },
      { c2: 'v1', route: 'v-r2', to: 'c2' },
    ],
  },
  {
    name: 'a cluster changes while a route is bad and then good',
    tables: [
      { c1: 'v1', route: 'v-r1', to: 'c1' },
      { c1: 'v2', c2: 'v1', route: 'bad-r2', to: 'c2' },
      { c1: 'v2', c2: 'v1', route: 'v-r3', to: 'c2' },
    ],
  },
  {
    name: 'a cluster is bad, and then good',
    tables: [
      { c1: 'v1', c2: 'bad-2', route: 'v-r1', to: 'c1' },
      { c1: 'v1', c2: 'v3', route: 'v-r1', to: 'c1' },
    ],
  },
]

interface Scene {
  readonly envoy: ModelEnvoy
  readonly proven: Set<string>
  readonly state: AdsState
  /** Everything that Envoy was sent, in order: it knows nothing else. */
  readonly given: string[]
  table: number
  toEnvoy: Extract<AdsEffect, { type: 'send' }>[]
  timers: string[]
  served: number
}

function walk(tables: readonly Wanted[], partly: number) {
  function open(): Scene {
    const proven = new Set<string>()
    const isProven = (version: string) => proven.has(version)
    const scene: Scene = {
      envoy: new ModelEnvoy(() => partly, isProven),
      proven,
      state: createAdsState({ ...defaultAdsOptions, isProven }),
      given: [],
      table: -1,
      toEnvoy: [],
      timers: [],
      served: 0,
    }
    scene.envoy.connect()
    give(scene)
    return scene
  }

  function run(scene: Scene, effects: readonly AdsEffect[]): void {
    for (const effect of effects) {
      if (effect.type === 'send') scene.toEnvoy.push(effect)
      if (effect.type === 'timer') scene.timers.push(effect.id)
      if (effect.type === 'accepted') for (const version of effect.versions) scene.proven.add(version)
      if (effect.type === 'served') {
        scene.served = effect.mark
        judgeServed(scene)
      }
    }
  }

  /** Envoy has the version that is reported as served, or a newer one; a refused version has a verdict. */
  function judgeServed({ envoy, served, table }: Scene): void {
    const newest = tables.slice(served - 1, table + 1).map((wanted) => tableOf(wanted, 0).resources)
    for (const typeUrl of [typeUrls.cluster, typeUrls.listener, typeUrls.route]) {
      for (const [name, resource] of newest[0]?.get(typeUrl) ?? []) {
        const wanted = newest.flatMap((resources) => resources.get(typeUrl)?.get(name) ?? [])
        const version = envoy.held.get(typeUrl)?.get(name)?.version
        const isGone = newest.some((resources) => !resources.get(typeUrl)?.has(name))
        if (!isGone && !wanted.some(isBad) && !wanted.some((one) => one.version === version))
          throw new Error(`served ${served}, but ${name} is ${version ?? 'absent'}, expected ${resource.version}`)
      }
    }
  }

  function give(scene: Scene): void {
    scene.table += 1
    const wanted = tables[scene.table]
    if (wanted) run(scene, adsStep(scene.state, { type: 'table', table: tableOf(wanted, scene.table + 1) }))
  }

  function movesOf(scene: Scene) {
    const moves: { readonly name: string; readonly apply: (scene: Scene) => void }[] = []
    const add = (name: string, apply: (next: Scene) => void) =>
      moves.push({
        name,
        apply(next) {
          apply(next)
          if (next.envoy.violations.length > 0) throw new Error(next.envoy.violations.join('; '))
        },
      })
    if (scene.table < tables.length - 1) add(`table ${scene.table + 1}`, give)
    if (scene.toEnvoy.length > 0)
      add('to Envoy', (next) => {
        const send = next.toEnvoy.shift()
        if (!send) return
        next.given.push(describeSend(send))
        next.envoy.receive(send)
      })
    if (scene.envoy.outbox.length > 0)
      add('to the zone', (next) => {
        const request = next.envoy.outbox.shift()
        if (request) run(next, adsStep(next.state, { type: 'request', request }))
      })
    for (const id of new Set(scene.timers))
      add(`timer ${id}`, (next) => {
        next.timers.splice(next.timers.indexOf(id), 1)
        run(next, adsStep(next.state, { type: 'timer', id }))
      })
    return moves
  }

  const look = ({ state, given, table, toEnvoy, timers, served, envoy, proven }: Scene) => {
    const { options: _same, table: _known, ...rest } = state
    const sends = toEnvoy.map(describeSend)
    return { rest, given, table, sends, timers, served, asked: envoy.outbox, proven }
  }

  function judgeEnd({ envoy, served, table }: Scene): void {
    const wanted = tables[table]
    if (!wanted) throw new Error('no table was given')
    if (served !== tables.length) throw new Error(`served ${served} of ${tables.length}`)
    if (envoy.warming.size > 0) throw new Error('a cluster warms for ever')
    const target = tableOf(wanted, 0).resources
    for (const typeUrl of [typeUrls.cluster, typeUrls.listener, typeUrls.route]) {
      const held = envoy.held.get(typeUrl)
      for (const [name, resource] of target.get(typeUrl) ?? []) {
        const version = held?.get(name)?.version
        if (!isBad(resource) && version !== resource.version)
          throw new Error(`${name}: expected ${resource.version}, found ${version ?? 'nothing'}`)
      }
    }
    const extra = [...(envoy.held.get(typeUrls.cluster)?.keys() ?? [])].filter(
      (name) => !target.get(typeUrls.cluster)?.has(name) && !envoy.usedClusters().has(name),
    )
    if (extra.length > 0) throw new Error(`${extra} should be gone`)
  }

  return replay(open, movesOf, look, judgeEnd)
}

const describeSend = ({ typeUrl, nonce, changed, removed }: Extract<AdsEffect, { type: 'send' }>): string =>
  `${typeUrl.split('.').at(-1)} ${nonce} ${changed.map(({ name, version }) => `${name}@${version}`)} -${removed}`

describe('every order of events at the ADS step with a model of Envoy', () => {
  it.each(scripts)(
    'X26 X27 $name: Envoy is never harmed, served is reported exactly, and Envoy ends with its complete table',
    async ({ name, tables }) => {
      let states = 0
      let ends = 0
      // When Envoy refuses a response, it may have accepted its other resources or none.
      for (const partly of [0, 0.9]) {
        const found = await walk(tables, partly)
        states += found.states
        ends += found.ends
      }
      console.info(`ads, ${name}: ${states} states, ${ends} ends`)
      expect(ends).toBeGreaterThan(0)
    },
  )
})
