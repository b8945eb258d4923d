import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import { resolve } from '@zonemesh/shared/dns/resolve.ts'
import { type Clock, delay } from '@zonemesh/shared/env/clock.ts'
import type { HistoryEvent, SeenVersion } from '@zonemesh/shared/guarantees/history.ts'
import { meshName } from '../demo/names.ts'
import { chaosMesh, pairNames } from './changes.ts'
import type { StackState } from './control.ts'
import type { Injector } from './injector.ts'
import type { Plane } from './plane.ts'
import { createPositions } from './positions.ts'
import { ownName, readRows } from './rows.ts'
import { type GlobalSample, readGlobal, readZone, type ZoneSample } from './samples.ts'
import type { Stack } from './stack.ts'

interface Deps {
  readonly clock: Clock
  readonly injector: Injector
  readonly global: Plane
  readonly zones: ReadonlyMap<string, Plane>
}

interface Claim {
  readonly epoch: number
  readonly event: Extract<HistoryEvent, { type: 'claimed' }>
}

const lookEveryMs = 250
const listEveryMs = 1_000

/** Observes the planes of a stack through their APIs and records a history. */
export function startRecorder(deps: Deps, stack: Stack) {
  const { clock, injector } = deps
  const end = new AbortController()
  const history: HistoryEvent[] = []
  const zoneSamples: ZoneSample[] = []
  const globalSamples: GlobalSample[] = []
  const states: (StackState & { readonly atMs: number })[] = []
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
   * A claim of the global about a zone is recorded when the next request to that zone was sent: the claim itself may be
   * one sample old, and the zone may just have caught up. A zone that does not answer keeps its last state, unless it
   * is in a session that no sample shows.
   */
  function recordClaims({ zone, requestedAtMs, answered }: ZoneSample): void {
    const epoch = positions.newest(zone)?.epoch
    const isDue = (one: Claim) =>
      one.event.zone === zone && one.event.atMs < requestedAtMs && (answered || one.epoch === epoch)
    for (const { event } of claims.filter(isDue)) record(event)
    claims = claims.filter((one) => !isDue(one))
  }

  /** Records rows that disappeared as deleted. The judge decides whether their owner has deleted them. */
  async function list(name: string, plane: Plane): Promise<void> {
    const rows = await readRows(plane)
    const before = rowsByPlane.get(name) ?? new Map<string, SeenVersion>()
    const gone = [...before.values()].filter(({ key }) => !rows.has(key))
    // The list of their owner after this one shows whether it has deleted them. Its own loop may not have seen that yet.
    const owners = new Set(gone.map(({ origin }) => origin).filter((origin) => origin !== name))
    for (const owner of owners) await list(owner, planeOf(owner))
    rowsByPlane.set(name, rows)
    const changed = [...rows.values()].filter(({ key, content }) => before.get(key)?.content !== content)
    const versions = [...changed, ...gone.map((one) => ({ ...one, state: 'deleted' as const }))]
    if (versions.length > 0)
      record({ type: 'written', atMs: now(), plane: name, store: '', life: 0, revision: 0, mark: false, versions })
  }

  function planeOf(origin: string): Plane {
    const found = origin === 'global' ? deps.global : deps.zones.get(origin)
    if (found) return found
    throw new Error(`no plane of this stack is the owner "${origin}"`)
  }

  async function readPair(zone: string, plane: Plane): Promise<void> {
    const { status, body } = await plane.ask('GET', `/meshes/${chaosMesh}/meshgatewayroutes?size=1000`)
    if (status !== 200) return
    const [left, right] = pairNames.map((name) => turnOf(body['items'], name))
    if (left === undefined && right === undefined) return
    record({ type: 'pair', atMs: now(), zone, left: left ?? 'nothing', right: right ?? 'nothing' })
  }

  async function resolveNames(zone: string, at: string): Promise<void> {
    const [host = '', port = ''] = at.split(':')
    for (const service of new Set(stack.scene.services.map((one) => one.service))) {
      const answer = await resolve(meshName(service), { host, port: Number(port) }, AbortSignal.timeout(1_000))
      // A resolver refuses requests while it starts. This is not an answer about the name.
      if (answer.rcode !== 0 && answer.rcode !== 3) continue
      record({ type: 'answered', atMs: now(), zone, service, address: answer.addresses[0] })
    }
  }

  const loops = [
    every(lookEveryMs, lookAtGlobal),
    every(listEveryMs, () => list('global', deps.global)),
    every(lookEveryMs, async () => void states.push({ ...(await injector.state()), atMs: now() })),
    ...[...deps.zones].flatMap(([zone, plane]) => [
      every(lookEveryMs, () => lookAtZone(zone, plane)),
      every(lookEveryMs, () => readPair(zone, plane)),
      every(listEveryMs, () => list(zone, plane)),
      every(lookEveryMs, () => resolveNames(zone, stack.zones[zone]?.dns ?? '')),
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
    states: (fromMs: number, toMs?: number) => within(states, fromMs, toMs),
    /** Call this before an operator releases a zone. */
    releasing: (zone: string): void => positions.releasing(zone, now()),
    rowCount: (plane: string) => rowsByPlane.get(plane)?.size ?? 0,
    async stop(): Promise<void> {
      end.abort()
      await Promise.all(loops)
    },
  }
}
export type Recorder = ReturnType<typeof startRecorder>

/** The turn number in a row of the pair. Zones show rows of other origins under longer names. */
export function turnOf(items: unknown, name: string): string | undefined {
  if (!Array.isArray(items)) return undefined
  const found: unknown = items.find((item: JsonObject) => ownName(item['name'], item['labels']) === name)
  return found === undefined ? undefined : (/turn-\d+/.exec(JSON.stringify(found))?.[0] ?? 'no number')
}
