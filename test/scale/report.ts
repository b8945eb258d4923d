import { table } from '@zonemesh/cli/output/table.ts'
import { percentile } from '../bench/figures.ts'
import { type Costs, constants, costs } from './costs.ts'
import { frameBytes } from './frames.ts'
import { type RunResult, run } from './model.ts'
import { type ScaleOptions, scaleOptions, usage } from './options.ts'

/** A shape of a fleet with its figures. Each figure of a process is of the one with the highest value. */
export interface ShapeResult {
  readonly shape: string
  readonly processes: number
  readonly lagMs: { readonly p50: number; readonly p99: number; readonly max: number }
  /** CPU that would be used if no process was limited to its cores. */
  readonly cores: number
  readonly bytesPerSecond: number
  readonly heapMiB: number
  readonly coldStartSeconds: number
  /** Each resource with its share of the limit, highest first. */
  readonly shares: readonly { readonly resource: string; readonly share: number; readonly limit: string }[]
}

export const scaleColumns = [
  'SHAPE',
  'PROCESSES',
  'LAG P50 ms',
  'LAG P99 ms',
  'LAG MAX ms',
  'CPU cores',
  'OUT MB/s',
  'HEAP MiB',
  'COLD START s',
] as const

const mib = 1024 * 1024

export const costsColumns = ['CONSTANT', 'VALUE', 'UNIT', 'SOURCE'] as const

export const costsCells = (): readonly (readonly string[])[] =>
  Object.entries(constants).map(([name, { value, unit, source }]) => [name, String(value), unit, source])

/** What the command prints, or one sentence that says which option is wrong. */
export function scaleOutput(args: readonly string[]): { readonly lines: readonly string[]; readonly error?: string } {
  const options = scaleOptions(args)
  if (!options.ok) return { lines: [], error: options.error }
  if (options.value === 'help') return { lines: usage.split('\n') }
  if (options.value === 'costs') return { lines: table(costsColumns, costsCells()) }
  const shapes = shapesOf(options.value, costs)
  const lines = [...table(scaleColumns, shapes.map(scaleCells)), '', ...shapes.map(firstLimit)]
  return { lines: lines.map((line) => line.trimEnd()) }
}

/** One global, and a tree of relays below it. With shards, of one of the globals, which all have the same load. */
export function shapesOf(options: ScaleOptions, costs: Costs): readonly ShapeResult[] {
  const { shards, fanOut } = options
  const share: ScaleOptions = {
    ...options,
    dataplanes: Math.ceil(options.dataplanes / shards),
    changesPerSecond: options.changesPerSecond / shards,
  }
  const of = shards === 1 ? '' : `, ${shards} shards`
  return [shapeOf(`global${of}`, share, undefined, costs), shapeOf(`tree of ${fanOut}${of}`, share, fanOut, costs)]
}

function shapeOf(shape: string, options: ScaleOptions, fanOut: number | undefined, costs: Costs): ShapeResult {
  const { seconds } = options
  const limited = run({ ...options, fanOut, isEndless: false }, costs)
  const demand = run({ ...options, fanOut, isEndless: true }, costs)
  const most = (values: readonly number[]) => values.reduce((a, b) => Math.max(a, b), 0)
  const cores = most(demand.processes.map(({ busyMs }) => busyMs / 1_000 / seconds))
  const bytesPerSecond = most(demand.processes.map(({ bytesOut }) => bytesOut / seconds))
  const heapMiB = most(limited.processes.map((process) => heapOf(process, options, costs)))
  const shares = [
    { resource: 'CPU', share: cores / costs.coresMax, limit: `${costs.coresMax} core` },
    {
      resource: 'line',
      share: bytesPerSecond / mib / costs.lineMiBPerSecond,
      limit: `${costs.lineMiBPerSecond} MiB/s`,
    },
    { resource: 'heap', share: heapMiB / costs.heapMaxMiB, limit: `${costs.heapMaxMiB} MiB` },
  ]
  return {
    shape,
    processes: (1 + limited.relays) * options.shards,
    lagMs: {
      p50: percentile(limited.lagsMs, 0.5),
      p99: percentile(limited.lagsMs, 0.99),
      max: most(limited.lagsMs),
    },
    cores,
    bytesPerSecond,
    heapMiB,
    coldStartSeconds: coldStartSeconds(limited, options, costs),
    shares: shares.sort((a, b) => b.share - a.share),
  }
}

/** A relay keeps rows in its file only. A global also has its catalogue of all rows in memory. */
function heapOf({ isGlobal, children }: RunResult['processes'][number], options: ScaleOptions, costs: Costs): number {
  const rows = isGlobal ? options.dataplanes + seenRows(options, costs) : 0
  return costs.baseMiB + (children * costs.zoneKiB) / 1024 + (rows * costs.rowBytes) / mib
}

/** The rows that a new zone gets: policies, and the announcements of other zones. */
const seenRows = ({ dataplanes }: ScaleOptions, costs: Costs): number =>
  costs.policies + Math.ceil(dataplanes / costs.dataplanesPerAnnouncement)

/**
 * The time until zones with empty stores have everything. On each level a process serves all its children at once,
 * limited by its CPU or its line. A relay serves its children when it has everything itself.
 */
function coldStartSeconds({ processes, depth }: RunResult, options: ScaleOptions, costs: Costs): number {
  const rows = seenRows(options, costs)
  const { announcement, policy } = frameBytes()
  const bytes = costs.policies * policy + (rows - costs.policies) * announcement
  const lineSeconds = bytes / mib / costs.lineMiBPerSecond
  // The commits of a zone that connects wake all zones that are connected already: half of them on average.
  const cpuSeconds = (children: number) =>
    (costs.connectMs + (costs.connectOtherMs * children) / 2 + rows * costs.snapshotRowMs) / 1_000
  const most = (isGlobal: boolean) =>
    processes.reduce((found, one) => (one.isGlobal === isGlobal ? Math.max(found, one.children) : found), 0)
  const ofLevel = (children: number) =>
    children * Math.max(lineSeconds, cpuSeconds(children)) + (4 * costs.lineMs) / 1_000
  const storing = (rows * costs.rowStoredMs) / 1_000
  return ofLevel(most(true)) + (depth - 1) * (storing + ofLevel(most(false)))
}

const shown = (value: number): string =>
  !Number.isFinite(value)
    ? '> 30000'
    : value >= 100
      ? value.toFixed(0)
      : value >= 10
        ? value.toFixed(1)
        : value.toFixed(2)

export const scaleCells = (result: ShapeResult): readonly string[] => [
  result.shape,
  String(result.processes),
  ...[result.lagMs.p50, result.lagMs.p99, result.lagMs.max].map(shown),
  ...[result.cores, result.bytesPerSecond / 1e6, result.heapMiB, result.coldStartSeconds].map(shown),
]

/** What is exhausted first, as a sentence. */
export function firstLimit({ shape, shares }: ShapeResult): string {
  const [first, ...others] = shares.map(
    ({ resource, share, limit }) => `${resource} at ${(100 * share).toFixed(0)} % of ${limit}`,
  )
  const isOver = (shares[0]?.share ?? 0) >= 1
  return `${shape}: ${isOver ? 'exhausted' : 'exhausted first when the load grows'}: ${first} (then ${others.join(', ')})`
}
