import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { delay, systemClock } from '@zonemesh/shared/env/clock.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import { syncPath } from '@zonemesh/shared/sync/handshake.ts'
import { encodeMessage } from '@zonemesh/shared/sync/log/frames.ts'
import { noCounters } from '@zonemesh/shared/sync/log/messages.ts'
import { ownProtocol } from '@zonemesh/shared/sync/log/protocol.ts'
import { callGrpc } from '@zonemesh/shared/transport/grpc.ts'
import { pinnedAuthority } from '@zonemesh/shared/transport/pin.ts'
import { type Figure, percentile } from '../figures.ts'
import { oneChange } from './burst.ts'
import { routes } from './documents.ts'
import { type BenchGlobal, local } from './global.ts'
import type { FollowingZone } from './zone-processes.ts'

const floodFile = fileURLToPath(new URL('./flood-process.ts', import.meta.url))
const slowerMax = 1.1
const growthMibMax = 16
/** So often with and without it: the heap of a process grows by steps of its own too. */
const rewrites = 6
const bookmarkEveryMs = 2_000
const roundsPerBlock = 10
const pauseMsMax = 10
const idleMs = 500
const idleShare = 0.1
const idleLimitMs = 10_000

/** A zone in a separate process that sends rows as fast as it gets credit. */
async function flood(global: BenchGlobal, name: string, token: string): Promise<AsyncDisposable> {
  const address = `${local}:${global.syncPort}`
  const pinned = await pinnedAuthority(address, global.pin, AbortSignal.timeout(5_000))
  if (!pinned.ok) throw new Error(pinned.error.reason)
  const child = fork(floodFile, [address, name, token, pinned.value], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
  await once(child, 'message')
  return {
    async [Symbol.asyncDispose]() {
      const exited = once(child, 'exit')
      child.kill()
      await exited
    },
  }
}

/** A zone that grants unlimited credit and sends keep-alives, but does not read. */
async function stall(global: BenchGlobal, name: string, token: string): Promise<AsyncDisposable> {
  const address = `${local}:${global.syncPort}`
  const pinned = await pinnedAuthority(address, global.pin, AbortSignal.timeout(5_000))
  if (!pinned.ok) throw new Error(pinned.error.reason)
  const channel = callGrpc({ address, path: syncPath, token, authorityPem: pinned.value })
  const known = { protocol: ownProtocol, storeId: `store-of-${name}`, incarnation: 1, startedAtMs: Date.now() }
  const names = { host: `${name}-host`, version: 'bench', replica: `${name}-${Date.now()}` }
  const hello = { ...known, ...names, position: undefined, creditBytes: 2 ** 40, uncovered: [] }
  channel.send(encodeMessage({ type: 'hello', hello }))
  // The welcome is read, and nothing after it.
  await new Promise<void>((resolve) =>
    channel.onMessage(() => {
      channel.onMessage(undefined)
      resolve()
    }),
  )
  let frames = 0
  let timer: Disposable | undefined
  const beat = () => {
    frames += 1
    const told = {
      sent: 0,
      mark: 0,
      stored: 0,
      served: 0,
      holds: [],
      blocked: '',
      verdicts: [],
      silentProxies: [],
      wallClockMs: 0,
    }
    channel.send(encodeMessage({ type: 'bookmark', bookmark: { ...told, counters: noCounters } }, frames))
    timer = systemClock.after(bookmarkEveryMs, beat)
  }
  beat()
  return {
    async [Symbol.asyncDispose]() {
      timer?.[Symbol.dispose]()
      channel.cut('the measurement is over')
      channel[Symbol.dispose]()
      await channel.ended
    },
  }
}

/**
 * Changes with and without a zone that does not read, in short rounds by turns, so that both meet the same machine. What else it
 * does comes in bursts that make single changes slow: each round has a p99 of its own, and the median round of each side counts.
 */
export async function besideAStalledZone(
  global: BenchGlobal,
  zones: readonly FollowingZone[],
  options: Beside & {
    /** Routes that are rewritten past the stalled zone. */
    readonly rewritten: number
  },
): Promise<Figure[]> {
  const figures = await besides(global, zones, options, 'a zone that does not read', () =>
    stall(global, options.name, options.token),
  )
  return [...figures, ...(await memory(global, zones, options))]
}

/** The same beside a zone that sends rows as fast as it can, far above its quota; and what the global remembers of it afterwards. */
export async function besideAFloodingZone(
  global: BenchGlobal,
  zones: readonly FollowingZone[],
  options: Beside,
): Promise<Figure[]> {
  const residentMib = async () => (await global.counted('process_resident_memory_bytes')) / mib
  const before = { resident: await residentMib(), used: (await global.usedBytes()) / mib }
  const figures = await besides(global, zones, options, 'a zone that floods', () =>
    flood(global, options.name, options.token),
  )
  const used = (await global.usedBytes()) / mib - before.used
  const resident = (await residentMib()) - before.resident
  return [
    ...figures,
    { name: 'memory that the global uses more than before the flood', unit: 'MiB', samples: [used] },
    { name: 'memory of its process more than before, with free pages that it keeps', unit: 'MiB', samples: [resident] },
  ]
}

interface Beside {
  readonly name: string
  readonly token: string
  readonly blocks: number
  readonly changesPerBlock: number
}

async function besides(
  global: BenchGlobal,
  zones: readonly FollowingZone[],
  options: Beside,
  what: string,
  start: () => Promise<AsyncDisposable>,
): Promise<Figure[]> {
  const sides = { alone: [] as number[][], beside: [] as number[][] }
  const cpuShares = { alone: [] as number[], beside: [] as number[] }
  let value = 1_000
  const round = async (): Promise<number[]> => {
    const samples: number[] = []
    for (let index = 0; index < options.changesPerBlock; index += 1) {
      value += 1
      samples.push(...(await oneChange(global, zones, value)).appliedMs)
      await delay(systemClock, systemRandom.fraction() * pauseMsMax, new AbortController().signal)
    }
    return samples
  }
  // A zone that is new is given what there is, which everybody notices, and the collector of garbage notices it later: what is
  // measured is the time after that.
  const block = async (side: 'alone' | 'beside') => {
    await untilIdle(global)
    await round()
    const [startMs, usedBefore] = [performance.now(), await global.counted('process_cpu_seconds_total')]
    for (let index = 0; index < roundsPerBlock; index += 1) sides[side].push(await round())
    const used = (await global.counted('process_cpu_seconds_total')) - usedBefore
    cpuShares[side].push((used * 100_000) / (performance.now() - startMs))
  }
  const alone = () => block('alone')
  const beside = async () => {
    await using _other = await start()
    await block('beside')
  }
  await round()
  for (let index = 0; index < options.blocks; index += 1) {
    // The other one first each time: what drifts hits both.
    for (const side of index % 2 === 0 ? [alone, beside] : [beside, alone]) await side()
  }
  const typical = (rounds: readonly number[][]) =>
    percentile(
      rounds.map((samples) => percentile(samples, 0.99)),
      0.5,
    )
  const ratio = typical(sides.beside) / typical(sides.alone)
  return [
    { name: 'one change → applied by each zone', unit: 'ms', samples: sides.alone.flat() },
    { name: `the same beside ${what}`, unit: 'ms', samples: sides.beside.flat() },
    {
      name: `p99 beside ${what} : p99 alone, of the median of ${sides.alone.length} rounds each`,
      unit: 'ratio',
      samples: [ratio],
      target: { max: slowerMax },
    },
    { name: 'CPU of the global while changes are written', unit: '% core', samples: cpuShares.alone },
    { name: `the same beside ${what}`, unit: '% core', samples: cpuShares.beside },
  ]
}

/** Resolves when the global has had next to nothing to do for a while; at the latest after 10 s. */
async function untilIdle(global: BenchGlobal): Promise<void> {
  const used = () => global.counted('process_cpu_seconds_total')
  const endMs = performance.now() + idleLimitMs
  for (let before = await used(); performance.now() < endMs; ) {
    await delay(systemClock, idleMs, new AbortController().signal)
    const now = await used()
    if ((now - before) * 1_000 < idleMs * idleShare) return
    before = now
  }
}

const mib = 1024 * 1024

/** The memory that the global uses for the zone while all rows are written repeatedly. */
async function memory(
  global: BenchGlobal,
  zones: readonly FollowingZone[],
  options: { readonly name: string; readonly token: string; readonly rewritten: number },
): Promise<Figure[]> {
  let round = 1_000
  const rewrite = async () => {
    round += 1
    let revision = 0
    for (let at = 0; at < options.rewritten; at += 500)
      revision = await global.write(routes(at, Math.min(500, options.rewritten - at), round))
    await Promise.all(zones.map((zone) => zone.untilCurrent(revision)))
    return (await global.counted('process_resident_memory_bytes')) / mib
  }
  const before: number[] = []
  const during: number[] = []
  for (let index = 0; index < rewrites; index += 1) before.push(await rewrite())
  await using _stalled = await stall(global, options.name, options.token)
  for (let index = 0; index < rewrites; index += 1) during.push(await rewrite())
  const name = `while ${options.rewritten} rows are written anew`
  return [
    { name: `memory of the global ${name}`, unit: 'MiB', samples: before },
    { name: `memory of the global ${name} beside a zone that does not read`, unit: 'MiB', samples: during },
    {
      name: 'growth beside it',
      unit: 'MiB',
      samples: [Math.max(...during) - Math.max(...before)],
      target: { max: growthMibMax },
    },
  ]
}
