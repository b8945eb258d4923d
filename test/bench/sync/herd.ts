import type { Figure } from '../figures.ts'
import type { BenchGlobal } from './global.ts'
import { type BenchZone, startBenchZone } from './zones.ts'

const currentMs = 5_000
const windowMs = 100
const crowdMax = 3
const atOnce = 25

/** Many zones of one global, which is restarted. */
export async function herds(
  global: BenchGlobal,
  options: { readonly tokens: ReadonlyMap<string, string>; readonly rounds: number },
  say: (line: string) => void,
): Promise<Figure[]> {
  await using stack = new AsyncDisposableStack()
  const zones: BenchZone[] = []
  const tokens = [...options.tokens]
  const firstMs = performance.now()
  for (let at = 0; at < tokens.length; at += atOnce) {
    const group = await Promise.all(
      tokens.slice(at, at + atOnce).map(([name, token]) => startBenchZone(global, { name, token })),
    )
    for (const zone of group) zones.push(stack.use(zone))
  }
  await Promise.all(zones.map((zone) => zone.untilCurrent(1)))
  say(`${zones.length} zones are connected after ${Math.round(performance.now() - firstMs)} ms`)
  const samples = {
    listening: [] as number[],
    current: [] as number[],
    started: [] as number[],
    crowds: [] as number[],
    cpu: [] as number[],
  }
  for (let round = 0; round < options.rounds; round += 1) {
    const startMs = await global.restart(round % 2 === 0 ? 'SIGTERM' : 'SIGKILL')
    const listeningMs = await global.untilListening()
    const atMs = await Promise.all(zones.map((zone) => zone.untilCurrent(1)))
    samples.cpu.push(await global.counted('process_cpu_seconds_total'))
    samples.listening.push(listeningMs - startMs)
    samples.current.push(...atMs.map((at) => at - listeningMs))
    samples.started.push(...atMs.map((at) => at - startMs))
    samples.crowds.push(crowd(zones.map((zone) => zone.traffic().dueAtMs)))
  }
  const { length } = zones
  return [
    { name: 'global restarted → its port is open', unit: 'ms', samples: samples.listening },
    {
      name: `port open → each of ${length} zones current`,
      unit: 'ms',
      samples: samples.current,
      target: { max: currentMs },
    },
    { name: `global started → each of ${length} zones current`, unit: 'ms', samples: samples.started },
    { name: 'CPU of the global from its start until then', unit: 's', samples: samples.cpu },
    {
      name: `most connects due within ${windowMs} ms : mean`,
      unit: 'ratio',
      samples: samples.crowds,
      target: { max: crowdMax },
    },
  ]
}

/** How many come within any window at most, against the mean of all windows from the first to the last. */
function crowd(timesMs: readonly number[]): number {
  const sorted = [...timesMs].sort((a, b) => a - b)
  let most = 0
  let from = 0
  sorted.forEach((atMs, index) => {
    while (atMs - (sorted[from] ?? atMs) >= windowMs) from += 1
    most = Math.max(most, index - from + 1)
  })
  const spanMs = Math.max(windowMs, (sorted.at(-1) ?? 0) - (sorted[0] ?? 0))
  return most / ((sorted.length * windowMs) / spanMs)
}
