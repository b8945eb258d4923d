import { createSeededRandom, type Random } from '@zonemesh/shared/env/random.ts'
import { type Costs, hubCosts } from './costs.ts'
import { frameBytes } from './frames.ts'
import { type Counts, createHub, type Hub, type Model, type ModelChange } from './hub.ts'
import type { ScaleOptions } from './options.ts'
import { attachRelay } from './relay.ts'
import { createTimeline, type Timeline } from './timeline.ts'
import { attachZone, type ModelZone } from './zone.ts'

/** One process of a run, in the seconds in which changes were made. */
export interface ProcessResult {
  readonly isGlobal: boolean
  readonly children: number
  readonly busyMs: number
  readonly bytesOut: number
  readonly counts: Counts
}

export interface RunResult {
  readonly processes: readonly ProcessResult[]
  /** The lag at the last zone of each change that zones get. Infinite if some zone had not stored it at the end. */
  readonly lagsMs: readonly number[]
  readonly relays: number
  /** Processes between a zone and the global, with the global. */
  readonly depth: number
}

export interface RunOptions extends Pick<ScaleOptions, 'zones' | 'changesPerSecond' | 'seconds' | 'seed'> {
  /** How many children a process has. Undefined: all zones are children of the global. */
  readonly fanOut: number | undefined
  /** See `createModelProcess`. */
  readonly isEndless: boolean
  /** Replaces the changes that the seed would draw. */
  readonly changes?: readonly Pick<ModelChange, 'kind' | 'zone' | 'atMs'>[]
}

/** Sessions settle before the first change. After the last change, zones have this long to store it. */
const settleMs = 3_000
const drainMs = 30_000

/** One run of the model: changes arrive at random, and each process does its work in order. */
export function run(options: RunOptions, costs: Costs): RunResult {
  const timeline = createTimeline()
  // Changes have a sequence of their own, so that all shapes get the same ones.
  const random = createSeededRandom(options.seed ^ 0x11e5)
  const { isEndless } = options
  const model: Model = { timeline, random, bytes: frameBytes(), costs: hubCosts(costs), isEndless }
  const tree = createTree(model, options, costs.zoneStoreMs)
  timeline.runUntil(settleMs)
  const before = tree.hubs.map((hub) => snapshotOf(hub))
  const endMs = settleMs + options.seconds * 1_000
  const drawn = options.changes ?? drawChanges(createSeededRandom(options.seed), options, costs)
  const changes = drawn.map((one): ModelChange => ({ ...one, atMs: settleMs + one.atMs, ...missingOf(one, options) }))
  for (const change of changes) timeline.at(change.atMs - timeline.now(), () => make(tree, change, costs))
  timeline.runUntil(endMs)
  const processes = tree.hubs.map((hub, index) => resultOf(hub, before[index], index === 0))
  const seen = changes.filter(({ kind }) => kind !== 'dataplane')
  drain(timeline, seen, endMs)
  return {
    processes,
    lagsMs: seen.map(({ lagMs }) => lagMs ?? Number.POSITIVE_INFINITY),
    relays: tree.hubs.length - 1,
    depth: tree.depth,
  }
}

const missingOf = ({ kind }: Pick<ModelChange, 'kind'>, { zones }: RunOptions) => ({
  missing: kind === 'policy' ? zones : zones - 1,
  lagMs: undefined,
})

function drain(timeline: Timeline, changes: readonly ModelChange[], endMs: number): void {
  const isLeft = () => changes.some(({ missing }) => missing > 0)
  for (let atMs = endMs; atMs < endMs + drainMs && isLeft(); atMs += 100) timeline.runUntil(atMs + 100)
}

interface Tree {
  readonly hubs: readonly Hub[]
  readonly zones: readonly ModelZone[]
  readonly depth: number
}

/** The global first, then the relays. Each process has at most `fanOut` children, and the zones are in order. */
function createTree(model: Model, { zones, fanOut = zones }: RunOptions, storeMs: number): Tree {
  const root = createHub(model)
  const hubs: Hub[] = [root]
  const leaves: ModelZone[] = []
  let depth = 1
  for (let reach = fanOut; reach < zones; reach *= fanOut) depth += 1

  function fill(hub: Hub, from: number, to: number, level: number): void {
    if (level === 1) {
      for (let zone = from; zone < to; zone += 1) leaves.push(attachZone(model, hub, zone, storeMs))
      return
    }
    // As few children as the levels below allow, each with an equal share.
    const children = Math.min(fanOut, Math.ceil((to - from) / fanOut ** (level - 1)))
    for (let child = 0; child < children; child += 1) {
      const first = from + Math.floor(((to - from) * child) / children)
      const end = from + Math.floor(((to - from) * (child + 1)) / children)
      const relay = attachRelay(model, hub, { first, end })
      hubs.push(relay)
      fill(relay, first, end, level - 1)
    }
  }

  fill(root, 0, zones, depth)
  return { hubs, zones: leaves, depth }
}

function make(tree: Tree, change: ModelChange, costs: Costs): void {
  if (change.kind === 'policy') tree.hubs[0]?.commit([change], costs.policyMs)
  else tree.zones[change.zone]?.write(change)
}

/** Poisson arrivals of all kinds, each of a random zone. */
function drawChanges(random: Random, { zones, changesPerSecond, seconds }: RunOptions, costs: Costs) {
  const drawn: Pick<ModelChange, 'kind' | 'zone' | 'atMs'>[] = []
  const nextMs = () => (-Math.log(1 - random.fraction()) * 1_000) / changesPerSecond
  for (let atMs = nextMs(); atMs < seconds * 1_000; atMs += nextMs()) {
    const share = random.fraction()
    const zone = Math.floor(random.fraction() * zones)
    if (share < costs.policyShare) drawn.push({ kind: 'policy', zone: -1, atMs })
    else
      drawn.push({
        kind: share < costs.policyShare + costs.announcementShare ? 'announcement' : 'dataplane',
        zone,
        atMs,
      })
  }
  return drawn
}

const snapshotOf = ({ process, bytesOut, counts, children }: Hub) => ({
  ...{ busyMs: process.busyMs(), bytesOut: bytesOut(), children: children() },
  counts: Object.fromEntries(Object.entries(counts).map(([name, one]) => [name, { ...one }])),
})

function resultOf(hub: Hub, before: ReturnType<typeof snapshotOf> | undefined, isGlobal: boolean): ProcessResult {
  const after = snapshotOf(hub)
  const counts = Object.entries(after.counts).map(([name, { frames, bytes }]): [string, Counts[string]] => {
    const former = before?.counts[name] ?? { frames: 0, bytes: 0 }
    return [name, { frames: frames - former.frames, bytes: bytes - former.bytes }]
  })
  return {
    isGlobal,
    children: after.children,
    busyMs: after.busyMs - (before?.busyMs ?? 0),
    bytesOut: after.bytesOut - (before?.bytesOut ?? 0),
    counts: Object.fromEntries(counts),
  }
}
