import { noFaults, startRelay } from '@zonemesh/cli/chaos/relay.ts'
import { delay, systemClock } from '@zonemesh/shared/env/clock.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import type { Figure } from '../figures.ts'
import { type BenchGlobal, local } from './global.ts'
import { startBenchZone } from './zones.ts'

const noticedMs = 10_000
const lookEveryMs = 20

/** Measures when both ends detect a line that silently drops all bytes. */
export async function deadStreams(
  global: BenchGlobal,
  options: { readonly tokens: ReadonlyMap<string, string>; readonly rounds: number },
  signal: AbortSignal,
): Promise<Figure[]> {
  const atZones: number[] = []
  const atGlobal: number[] = []
  for (let round = 0; round < options.rounds; round += 1) {
    await using relay = await startRelay(
      { clock: systemClock, random: systemRandom },
      { host: local, port: 0, targetHost: local, targetPort: global.syncPort },
    )
    await using stack = new AsyncDisposableStack()
    const zones = await Promise.all(
      [...options.tokens].map(async ([name, token]) =>
        stack.use(await startBenchZone(global, { name, token, port: relay.port })),
      ),
    )
    for (const zone of zones) await zone.untilCurrent(1)
    // Bookmarks are sent every 2 s, so the line is cut at a random moment between them.
    await delay(systemClock, systemRandom.fraction() * 2_000, signal)
    const connected = await global.counted('zonemesh_zones_connected')
    relay.set({ ...noFaults, blackHole: ['up', 'down'] })
    const deadAtMs = performance.now()
    const [lost] = await Promise.all([
      Promise.all(zones.map((zone) => zone.untilLost())),
      untilFewer(global, connected, zones.length, signal, (atMs) => atGlobal.push(atMs - deadAtMs)),
    ])
    atZones.push(...lost.map((atMs) => atMs - deadAtMs))
  }
  const target = { max: noticedMs }
  return [
    { name: 'dead stream → noticed by the zone', unit: 'ms', samples: atZones, target },
    { name: 'dead stream → noticed by the global', unit: 'ms', samples: atGlobal, target },
  ]
}

/** Reports each session that ended, until this many have ended. */
async function untilFewer(
  global: BenchGlobal,
  connected: number,
  count: number,
  signal: AbortSignal,
  tell: (atMs: number) => void,
): Promise<void> {
  for (let gone = 0; gone < count; ) {
    const left = await global.counted('zonemesh_zones_connected')
    for (; gone < Math.min(count, connected - left); gone += 1) tell(performance.now())
    await delay(systemClock, lookEveryMs, signal)
  }
}
