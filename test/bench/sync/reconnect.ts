import { noFaults, startRelay } from '@zonemesh/cli/chaos/relay.ts'
import { systemClock } from '@zonemesh/shared/env/clock.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import type { Figure } from '../figures.ts'
import { type BenchGlobal, local } from './global.ts'
import { startBenchZone } from './zones.ts'

const roundTripMs = 100
const bytesMax = 2048
const extraMs = 50

/** A zone that comes back when nothing has changed: what that costs in bytes, and when it can say that it is current. */
export async function reconnects(
  global: BenchGlobal,
  options: {
    readonly tokens: ReadonlyMap<string, string>
    readonly folder: string
    readonly count: number
    readonly stored: number
  },
): Promise<Figure[]> {
  const near = await measure(global, { ...options, name: 'near', port: global.syncPort })
  await using relay = await startRelay(
    { clock: systemClock, random: systemRandom },
    { host: local, port: 0, targetHost: local, targetPort: global.syncPort },
  )
  relay.set({ ...noFaults, delayMs: roundTripMs / 2 })
  const far = await measure(global, { ...options, name: 'far', port: relay.port })
  const what = `reconnect, nothing changed, ${options.stored} resources`
  return [
    { name: `${what}: application bytes`, unit: 'bytes', samples: near.bytes, target: { max: bytesMax } },
    { name: `${what}: dial → current`, unit: 'ms', samples: near.dialled, target: { p99: extraMs } },
    {
      name: `the same over a line of ${roundTripMs} ms: bytes`,
      unit: 'bytes',
      samples: far.bytes,
      target: { max: bytesMax },
    },
    // Hello to welcome is the one round trip; TCP, TLS and HTTP/2 have taken theirs before.
    { name: `${what}: first answer → current`, unit: 'ms', samples: far.answered, target: { p99: extraMs } },
    { name: `${what}: dial → current, with TCP, TLS and HTTP/2`, unit: 'ms', samples: far.dialled },
  ]
}

async function measure(
  global: BenchGlobal,
  options: {
    readonly name: string
    readonly tokens: ReadonlyMap<string, string>
    readonly folder: string
    readonly port: number
    readonly count: number
  },
) {
  await using zone = await startBenchZone(global, { ...options, token: options.tokens.get(options.name) ?? '' })
  await zone.untilCurrent(1)
  const samples = { bytes: [] as number[], dialled: [] as number[], answered: [] as number[] }
  for (let index = 0; index < options.count; index += 1) {
    await zone.again()
    const currentMs = await zone.untilCurrent(1)
    const { bytes, dialledAtMs, firstFrameAtMs } = zone.traffic()
    samples.bytes.push(bytes)
    samples.dialled.push(currentMs - dialledAtMs)
    samples.answered.push(currentMs - firstFrameAtMs)
  }
  return samples
}
