import { run } from './run.ts'

const [from = 1, to = from] = (process.argv[2] ?? '1').split('-').map(Number)
const started = performance.now()
let events = 0
let bad = 0
for (let seed = from; seed <= to; seed += 1) {
  const result = await run({ seed })
  events += result.events
  if (result.violations.length === 0 && to > from) continue
  bad += 1
  console.log(
    `seed ${seed} zones ${result.zones} globals ${result.globals} converged ${result.convergedMs}`,
    result.violations.length,
  )
  console.log(`  ${result.faults.map((f) => `${f.atMs + 12000} ${f.type} ${f.target} ${f.forMs}`).join('; ')}`)
  const kinds = new Map<string, string>()
  for (const v of result.violations) kinds.set(v.slice(0, 3), kinds.get(v.slice(0, 3)) ?? v.slice(0, 500))
  for (const v of kinds.values()) console.log(`  ${v}`)
  if (to === from) console.log(result.trace.slice(-Number(process.argv[3] ?? 60)).join('\n'))
}
console.log({ seeds: to - from + 1, bad, events, ms: Math.round(performance.now() - started) })
