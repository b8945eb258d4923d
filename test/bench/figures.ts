import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { table } from '@zonemesh/cli/output/table.ts'

/** One row of the result: the figure, its distribution, and its target. */
export interface Figure {
  readonly name: string
  readonly unit: string
  readonly samples: readonly number[]
  /** Upper limits for some of the columns. */
  readonly target?: { readonly p50?: number; readonly p99?: number; readonly max?: number }
}

export function percentile(samples: readonly number[], share: number): number {
  const sorted = [...samples].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(share * sorted.length) - 1))] ?? Number.NaN
}

const columns = (figure: Figure) => ({
  p50: percentile(figure.samples, 0.5),
  p90: percentile(figure.samples, 0.9),
  p99: percentile(figure.samples, 0.99),
  max: Math.max(...figure.samples),
})

const overTarget = (figure: Figure): boolean => {
  const values = columns(figure)
  return (['p50', 'p99', 'max'] as const).some(
    (key) => figure.target?.[key] !== undefined && values[key] > figure.target[key],
  )
}

const shown = (value: number): string =>
  value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2)

/** The result as a table; rows over target are marked. */
function figureLines(figures: readonly Figure[]): string[] {
  const rows = figures.map((figure) => {
    const { p50, p90, p99, max } = columns(figure)
    const target = Object.entries(figure.target ?? {}).map(([key, value]) => `${key} ≤ ${value}`)
    return [
      figure.name,
      figure.unit,
      String(figure.samples.length),
      shown(p50),
      shown(p90),
      shown(p99),
      shown(max),
      target.join(', '),
      overTarget(figure) ? 'OVER' : '',
    ]
  })
  return table(['FIGURE', 'UNIT', 'N', 'P50', 'P90', 'P99', 'MAX', 'TARGET', ''], rows)
}

const figureJson = (figures: readonly Figure[]): object =>
  figures.map((figure) => ({
    name: figure.name,
    unit: figure.unit,
    n: figure.samples.length,
    ...columns(figure),
    target: figure.target ?? null,
    over: overTarget(figure),
  }))

/** The file after `--out`, or the file of this name in the results folder. */
export const outFile = (args: readonly string[], name: string): string =>
  args.includes('--out') ? (args[args.indexOf('--out') + 1] ?? '') : join('bench-results', name)

/** Prints the table, and writes everything as JSON. */
export function writeFigures(
  out: string,
  result: {
    readonly short: boolean
    readonly counts: object
    readonly figures: readonly Figure[]
    readonly failures: readonly string[]
  },
): void {
  for (const line of figureLines(result.figures)) process.stdout.write(`${line.trimEnd()}\n`)
  mkdirSync(dirname(out), { recursive: true })
  writeFileSync(out, `${JSON.stringify({ ...result, figures: figureJson(result.figures) }, null, 2)}\n`)
}
