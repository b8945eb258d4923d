import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import { resolve } from '@zonemesh/shared/dns/resolve.ts'
import { type Clock, delay } from '@zonemesh/shared/env/clock.ts'
import type { HistoryEvent, SeenVersion } from '@zonemesh/shared/guarantees/history.ts'
import { meshName } from '../demo/scene.ts'
import { pairNames } from './changes.ts'
import type { Sight } from './control.ts'
import type { Hand } from './hand.ts'
import type { Plane } from './plane.ts'
import { createPositions } from './positions.ts'
import { ownName, readRows } from './rows.ts'
import { type GlobalSample, readGlobal, readZone, type ZoneSample } from './samples.ts'
import type { Stack } from './stack.ts'

interface Deps {
  readonly clock: Clock
  readonly hand: Hand
  readonly global: Plane
  readonly zones: ReadonlyMap<string, Plane>
}

interface Claim {
  readonly epoch: number
  readonly event: Extract<HistoryEvent, { type: 'claimed' }>
}

const lookEveryMs = 250
const listEveryMs = 1_000

/** Watches the planes of a stack through what they tell everybody, and writes down what happened. */
export function startRecorder(deps: Deps, stack: Stack) {
  const { clock, hand } = deps
  const end = new AbortController()
  const history: HistoryEvent[] = []
  const zoneSamples: ZoneSample[] = []
  const globalSamples: GlobalSample[] = []
  const sights: (Sight & { readonly atMs: number })[] = []
  let claims: Claim[] = []
  const rowsByPlane = new Map<string, Map<string, SeenVersion>>()
  const now = () => clock.monotonicMs()
  const record = (event: HistoryEvent): void => void history.push(event)
  const positions = createPositions(record)

  async function every(ms: number, task: () => Promise<void>): Promise<void> {
    while (!end.signal.aborted) {
      await task().catch(() => undefined)
      await delay(clock, ms, end.signal).catch(() => undefined)
    }
  }

  async function lookAtZone(zone: string, plane: Plane): Promise<void> {
    const sample = await readZone(clock, zone, plane)
    zoneSamples.push(sample)
    if (!sample.answered) return recordClaims(sample)
    positions.see(sample)
    recordClaims(sample)
    const { atMs, store } = sample
    if (sample.current) record({ type: 'claimed', atMs, by: `zone ${zone}`, zone, store })
  }

  async function lookAtGlobal(): Promise<void> {
    const sample = await readGlobal(clock, deps.global)
    globalSamples.push(sample)
    for (const one of sample.zones) {
      if (!one.current) continue
      const { atMs, store } = sample
      claims.push({ epoch: one.epoch, event: { type: 'claimed', atMs, by: 'the global', zone: one.zone, store } })
    }
  }

  /**
   * What the global says of a zone is judged when the zone was asked after it: its own word is up to one look old, and it may
   * just have caught up. A zone that does not answer has what it had, unless it is in a session that nobody has seen it in.
   */
  function recordClaims({ zone, askedAtMs, answered }: ZoneSample): void {
    const epoch = positions.newest(zone)?.epoch
    const isDue = (one: Claim) =>
      one.event.zone === zone && one.event.atMs < askedAtMs && (answered || one.epoch === epoch)
    for (const { event } of claims.filter(isDue)) record(event)
    claims = claims.filter((one) => !isDue(one))
  }

  /** Rows that were there and are no more are told as deleted: whether their owner has deleted them is for the judge. */
  async function list(name: string, plane: Plane): Promise<void> {
    const rows = await readRows(plane)
    const before = rowsByPlane.get(name) ?? new Map<string, SeenVersion>()
    rowsByPlane.set(name, rows)
    const gone = [...before.values()].filter(({ key }) => !rows.has(key))
    const changed = [...rows.values()].filter(({ key, content }) => before.get(key)?.content !== content)
    const versions = [...changed, ...gone.map((one) => ({ ...one, state: 'deleted' as const }))]
    if (versions.length > 0)
      record({ type: 'written', atMs: now(), plane: name, store: '', life: 0, revision: 0, mark: false, versions })
  }

  async function readPair(zone: string, plane: Plane): Promise<void> {
    const { status, body } = await plane.ask('GET', `/meshes/${stack.scene.mesh}/meshgatewayroutes?size=1000`)
    if (status !== 200) return
    const [left, right] = pairNames.map((name) => turnOf(body['items'], name))
    if (left === undefined && right === undefined) return
    record({ type: 'pair', atMs: now(), zone, left: left ?? 'nothing', right: right ?? 'nothing' })
  }

  async function ask(zone: string, at: string): Promise<void> {
    const [host = '', port = ''] = at.split(':')
    for (const { service } of stack.scene.services) {
      const answer = await resolve(meshName(service), { host, port: Number(port) }, AbortSignal.timeout(1_000))
      // A resolver that is starting refuses; that is no word about the name.
      if (answer.rcode !== 0 && answer.rcode !== 3) continue
      record({ type: 'answered', atMs: now(), zone, service, address: answer.addresses[0] })
    }
  }

  const loops = [
    every(lookEveryMs, lookAtGlobal),
    every(listEveryMs, () => list('global', deps.global)),
    every(lookEveryMs, async () => void sights.push({ ...(await hand.look()), atMs: now() })),
    ...[...deps.zones].flatMap(([zone, plane]) => [
      every(lookEveryMs, () => lookAtZone(zone, plane)),
      every(lookEveryMs, () => readPair(zone, plane)),
      every(listEveryMs, () => list(zone, plane)),
      every(lookEveryMs, () => ask(zone, stack.zones[zone]?.dns ?? '')),
    ]),
  ]
  const within = <T extends { readonly atMs: number }>(
    all: readonly T[],
    fromMs: number,
    toMs = Number.POSITIVE_INFINITY,
  ) => all.filter(({ atMs }) => atMs >= fromMs && atMs <= toMs)
  return {
    now,
    record,
    history: (): readonly HistoryEvent[] => history,
    zone: (zone: string, fromMs: number, toMs?: number) =>
      within(zoneSamples, fromMs, toMs).filter((one) => one.zone === zone),
    newest: positions.newest,
    global: (fromMs: number, toMs?: number) => within(globalSamples, fromMs, toMs),
    sights: (fromMs: number, toMs?: number) => within(sights, fromMs, toMs),
    /** Told before an operator lets a zone go on. */
    releasing: (zone: string): void => positions.releasing(zone, now()),
    rowCount: (plane: string) => rowsByPlane.get(plane)?.size ?? 0,
    async stop(): Promise<void> {
      end.abort()
      await Promise.all(loops)
    },
  }
}
export type Recorder = ReturnType<typeof startRecorder>

/** The number that a row of the pair carries. Zones show rows of others under longer names. */
export function turnOf(items: unknown, name: string): string | undefined {
  if (!Array.isArray(items)) return undefined
  const found: unknown = items.find((item: JsonObject) => ownName(item['name'], item['labels']) === name)
  return found === undefined ? undefined : (/turn-\d+/.exec(JSON.stringify(found))?.[0] ?? 'no number')
}
