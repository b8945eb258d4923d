import type { Figure } from '../figures.ts'
import { bursts } from './burst.ts'
import { deadStreams } from './dead-stream.ts'
import { routes } from './documents.ts'
import { type BenchGlobal, startBenchGlobal } from './global.ts'
import { herds } from './herd.ts'
import { reconnects } from './reconnect.ts'
import { besideAFloodingZone, besideAStalledZone } from './stalled.ts'
import { startZoneProcesses } from './zone-processes.ts'

export const syncCounts = (short: boolean) =>
  short
    ? {
        resources: 1_000,
        reconnects: 10,
        dead: 1,
        burst: 1_000,
        bursts: 1,
        blocks: 1,
        changes: 20,
        herd: 50,
        herds: 1,
      }
    : {
        resources: 10_000,
        reconnects: 50,
        dead: 3,
        burst: 10_000,
        bursts: 5,
        blocks: 10,
        changes: 30,
        herd: 500,
        herds: 4,
      }
type Counts = ReturnType<typeof syncCounts>

interface Run {
  readonly folder: string
  readonly counts: Counts
  /** Of these alone, where only a part is wanted. */
  readonly only: readonly string[]
  readonly signal: AbortSignal
  readonly say: (line: string) => void
}

/** Real zones have a process each; here each core of a small machine has one for its share of them. */
const zoneProcesses = 2

const numbered = (name: string, count: number) => Array.from({ length: count }, (_unused, index) => `${name}-${index}`)

/** The figures of sync: a real global in its own process, and zones without proxies in this one or in a few others. */
export async function measureSync(run: Run, found: (figures: readonly Figure[]) => void): Promise<void> {
  const wants = (part: string) => run.only.length === 0 || run.only.includes(part)
  if (['reconnect', 'dead', 'burst', 'stalled', 'flood'].some(wants)) {
    await using global = await startBenchGlobal(run.folder, 'global')
    await ofTen(global, run, wants, found)
  }
  if (!wants('herd')) return
  await using global = await startBenchGlobal(run.folder, 'global-of-many')
  run.say(`${run.counts.herd} zones, and the global restarted …`)
  await global.write(routes(0, 200, 0))
  const tokens = await global.tokens(numbered('many', run.counts.herd))
  found(await herds(global, { tokens, rounds: run.counts.herds }, run.say))
}

async function ofTen(
  global: BenchGlobal,
  { folder, counts, signal, say }: Run,
  wants: (part: string) => boolean,
  found: (figures: readonly Figure[]) => void,
): Promise<void> {
  const names = { zones: numbered('zone', 10), dead: numbered('dead', 10) }
  const tokens = await global.tokens(['near', 'far', 'stalled', 'flood', ...names.zones, ...names.dead])
  const token = (name: string) => tokens.get(name) ?? ''
  const tokensOf = (zones: readonly string[]) => new Map(zones.map((name) => [name, token(name)]))
  say(`storing ${counts.resources} resources …`)
  for (let at = 0; at < counts.resources; at += 500)
    await global.write(routes(at, Math.min(500, counts.resources - at), 0))
  if (wants('reconnect')) {
    say('a zone reconnects …')
    const options = { tokens, folder, count: counts.reconnects, stored: counts.resources }
    found(await reconnects(global, options))
  }
  if (wants('dead')) {
    say('lines die …')
    found(await deadStreams(global, { tokens: tokensOf(names.dead), rounds: counts.dead }, signal))
  }
  if (!['burst', 'stalled', 'flood'].some(wants)) return
  const following = { folder, tokens: tokensOf(names.zones), processes: zoneProcesses }
  await using processes = await startZoneProcesses(global, following)
  const { zones } = processes
  for (const zone of zones) await zone.untilCurrent(await global.revision())
  if (wants('burst')) {
    say('bursts …')
    found(await bursts(global, processes, { changes: counts.burst, rounds: counts.bursts }))
  }
  if (wants('stalled')) {
    say('a zone does not read …')
    const stalled = { name: 'stalled', token: token('stalled') }
    const options = { ...stalled, blocks: counts.blocks, changesPerBlock: counts.changes, rewritten: counts.burst }
    found(await besideAStalledZone(global, zones, options))
  }
  if (wants('flood')) {
    say('a zone floods …')
    const options = { name: 'flood', token: token('flood'), blocks: counts.blocks, changesPerBlock: counts.changes }
    found(await besideAFloodingZone(global, zones, options))
  }
}
