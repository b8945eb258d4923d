import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { run } from './run.ts'
import { shrink } from './shrink.ts'
import { faultLine, summary } from './summary.ts'

const usage = `usage: npm run sim -- [--seed N] [--runs N] [--minutes N] [--trace FILE]

  --seed N      the first seed (default: one drawn from the clock)
  --runs N      how many seeds, one after the other (default 1 with --seed, else 100)
  --minutes N   as many seeds as fit into so many minutes
  --trace FILE  writes everything that happened in the last run

Exits 1 when a guarantee does not hold: it tells the command that repeats it, the fewest faults that still do it, and the
last events.`

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    runs: { type: 'string' },
    minutes: { type: 'string' },
    trace: { type: 'string' },
    help: { type: 'boolean', short: 'h' },
  },
})
if (values.help) {
  console.log(usage)
  process.exit(0)
}
const whole = (name: 'seed' | 'runs' | 'minutes'): number | undefined => {
  const value = values[name]
  if (value === undefined) return undefined
  if (!/^\d+(\.\d+)?$/.test(value)) {
    console.error(`--${name}: expected a number, found "${value}"\n\n${usage}`)
    process.exit(2)
  }
  return Number(value)
}
const minutes = whole('minutes')
const first = whole('seed') ?? Math.floor(Date.now() / 1000) % 1_000_000
const runs = whole('runs') ?? (minutes !== undefined ? Number.POSITIVE_INFINITY : whole('seed') === undefined ? 100 : 1)
const startMs = performance.now()
const isTime = () => minutes === undefined || performance.now() - startMs < minutes * 60_000

let events = 0
let virtualMs = 0
let done = 0
for (let seed = first; done < runs && isTime(); seed += 1) {
  const result = await run({ seed })
  done += 1
  events += result.events
  virtualMs += result.virtualMs
  if (values.trace !== undefined) writeFileSync(values.trace, `${result.trace.join('\n')}\n`)
  if (runs === 1) console.log(summary(result))
  else if (done % 50 === 0) console.log(`${done} seeds, ${events} events, no violation`)
  if (result.violations.length === 0) continue
  console.log(summary(result))
  console.log('shrinking the faults …')
  const fewest = await shrink(result.faults, async (faults) => (await run({ seed, faults })).violations.length > 0)
  console.log(
    `fewest faults that still do it:\n${fewest.map((fault) => `  ${faultLine(fault)}`).join('\n') || '  none'}`,
  )
  console.log(`last events:\n${result.trace.slice(-25).join('\n')}`)
  console.log(`to repeat it: npm run sim -- --seed ${seed}`)
  process.exit(1)
}
const seconds = (performance.now() - startMs) / 1000
console.log(
  `${done} seeds, ${events} events, ${Math.round(virtualMs / 60_000)} virtual minutes in ${seconds.toFixed(1)} s: no violation`,
)
