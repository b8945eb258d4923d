import { parseArgs } from 'node:util'
import { err, messageOf, ok, type Result } from '@zonemesh/shared/base/base.ts'

export const usage = `usage: npm run scale -- --zones N --dataplanes N --changes-per-second N [OPTION]…

  --zones N               how many zones are connected (1 to 10000)
  --dataplanes N          how many Dataplanes all zones have together (1 to 10000000)
  --changes-per-second N  changes of all kinds (up to 1000)
  --fan-out N             how many children a global or a relay of the tree has (2 to 1000, default 32)
  --shards N              how many globals share the meshes (1 to 64, default 1)
  --seconds N             how long changes are made, in virtual time (1 to 60, default 5)
  --seed N                the same seed gives the same output (default 1)
  --costs                 prints the constants of the model and their sources, and ends

Prints lag, CPU, bytes, heap and cold start of one global and of a tree of relays. docs/scale.md says what is modelled.`

export interface ScaleOptions {
  readonly zones: number
  readonly dataplanes: number
  readonly changesPerSecond: number
  readonly fanOut: number
  readonly shards: number
  readonly seconds: number
  readonly seed: number
}

interface Range {
  readonly min: number
  readonly max: number
  readonly fallback?: number
}

const ranges = {
  zones: { min: 1, max: 10_000 },
  dataplanes: { min: 1, max: 10_000_000 },
  'changes-per-second': { min: 1, max: 1_000 },
  'fan-out': { min: 2, max: 1_000, fallback: 32 },
  shards: { min: 1, max: 64, fallback: 1 },
  seconds: { min: 1, max: 60, fallback: 5 },
  seed: { min: 0, max: 4_294_967_295, fallback: 1 },
} as const satisfies Readonly<Record<string, Range>>

/** The options of the command, `help` or `costs` if only that was requested, or one sentence that says what is wrong. */
export function scaleOptions(args: readonly string[]): Result<ScaleOptions | 'help' | 'costs', string> {
  let values: Readonly<Record<string, string | boolean | undefined>>
  try {
    const texts = Object.fromEntries(Object.keys(ranges).map((name) => [name, { type: 'string' as const }]))
    const switches = { help: { type: 'boolean' as const, short: 'h' }, costs: { type: 'boolean' as const } }
    values = parseArgs({ args: [...args], options: { ...texts, ...switches } }).values
  } catch (cause) {
    // The first sentence says what is wrong. The others explain the syntax of options.
    return err(messageOf(cause).split('. ')[0] ?? '')
  }
  if (values['help']) return ok('help')
  if (values['costs']) return ok('costs')
  const found = new Map<string, number>()
  for (const [name, range] of Object.entries(ranges)) {
    const one = numberFrom(name, values[name], range)
    if (!one.ok) return one
    found.set(name, one.value)
  }
  const of = (name: keyof typeof ranges) => found.get(name) ?? 0
  const options: ScaleOptions = {
    ...{ zones: of('zones'), dataplanes: of('dataplanes'), changesPerSecond: of('changes-per-second') },
    ...{ fanOut: of('fan-out'), shards: of('shards'), seconds: of('seconds'), seed: of('seed') },
  }
  if (options.dataplanes < options.zones)
    return err(`--dataplanes: expected at least one per zone (${options.zones}), found ${options.dataplanes}`)
  return ok(options)
}

function numberFrom(name: string, value: unknown, { min, max, fallback }: Range): Result<number, string> {
  if (value === undefined && fallback !== undefined) return ok(fallback)
  const found = value === undefined ? 'none' : `"${String(value)}"`
  const isWhole = typeof value === 'string' && /^\d+$/.test(value)
  if (isWhole && Number(value) >= min && Number(value) <= max) return ok(Number(value))
  return err(`--${name}: expected a whole number from ${min} to ${max}, found ${found}`)
}
