import type { Figure } from '../figures.ts'
import { routes, timeout } from './documents.ts'
import type { BenchGlobal } from './global.ts'
import { sharedMs } from './zone-messages.ts'
import type { FollowingZone, ZoneProcesses } from './zone-processes.ts'

const commitSize = 500
const currentMs = 5_000
const middleMs = 1_000

/** Many changes at once, in consecutive commits, and one small change by another client in the middle. */
export async function bursts(
  global: BenchGlobal,
  { zones, shape, cpuSeconds }: ZoneProcesses,
  options: { readonly changes: number; readonly rounds: number },
): Promise<Figure[]> {
  const { changes } = options
  const samples = {
    written: [] as number[],
    current: [] as number[],
    middle: [] as number[],
    answered: [] as number[],
    zones: [] as number[],
    global: [] as number[],
  }
  for (let round = 1; round <= options.rounds; round += 1) {
    const before = { zones: await cpuSeconds(), global: await global.counted('process_cpu_seconds_total') }
    const startMs = sharedMs()
    let revision = 0
    let middle: ReturnType<typeof oneChange> | undefined
    for (let at = 0; at < changes; at += commitSize) {
      const writing = global.write(routes(at, Math.min(commitSize, changes - at), round))
      if (at >= changes / 2) middle ??= oneChange(global, zones, round)
      revision = await writing
    }
    samples.written.push(sharedMs() - startMs)
    const atMs = await Promise.all(zones.map((zone) => zone.untilCurrent(revision)))
    samples.current.push(...atMs.map((at) => at - startMs))
    samples.global.push((await global.counted('process_cpu_seconds_total')) - before.global)
    samples.zones.push((await cpuSeconds()) - before.zones)
    const one = await middle
    samples.middle.push(...(one?.appliedMs ?? []))
    samples.answered.push(one?.answeredMs ?? Number.NaN)
  }
  const what = `burst of ${changes} changes in commits of ${commitSize}`
  return [
    { name: `${what}: all written, by one HTTP client`, unit: 'ms', samples: samples.written },
    {
      name: `${what}: first commit begun → each of ${shape} current`,
      unit: 'ms',
      samples: samples.current,
      target: { max: currentMs },
    },
    { name: `${what}: CPU of the global`, unit: 's', samples: samples.global },
    { name: `${what}: CPU of ${shape}`, unit: 's', samples: samples.zones },
    { name: 'one change in the middle of it, by another client → written', unit: 'ms', samples: samples.answered },
    {
      name: 'one change in the middle of it → applied by each zone',
      unit: 'ms',
      samples: samples.middle,
      target: { max: middleMs },
    },
  ]
}

/** The time of one small change until its writer has the response, and until each zone has it. */
export async function oneChange(global: BenchGlobal, zones: readonly FollowingZone[], value: number) {
  const name = `change-${value}`
  const applied = zones.map((zone) => zone.whenApplied(name))
  const startMs = sharedMs()
  await global.write([timeout(name, 1 + (value % 50))])
  const answeredMs = sharedMs() - startMs
  return { answeredMs, appliedMs: (await Promise.all(applied)).map((atMs) => atMs - startMs) }
}
