import { type Clock, delay } from '@zonemesh/shared/env/clock.ts'
import { CommandError } from '../base/command.ts'
import { type Changes, chaosMesh, pairNames } from './changes.ts'
import type { Injector } from './injector.ts'
import type { Plane } from './plane.ts'
import { type Recorder, turnOf } from './recorder.ts'
import type { Stack } from './stack.ts'

export interface Planes {
  readonly global: Plane
  readonly zones: ReadonlyMap<string, Plane>
}

interface Deps {
  readonly clock: Clock
  readonly stack: Stack
  readonly injector: Injector
  readonly planes: Planes
  readonly recorder: Recorder
  readonly changes: Changes
  /** The number of the newest route that a request passed; undefined before the first request. */
  readonly servedRoute: () => number | undefined
  readonly convergeMs: number
}

const lookEveryMs = 50
const untilLimitMs = 20_000

/** The functions and state with which a fault acts on a stack and observes it. */
export function createScene(deps: Deps, signal: AbortSignal) {
  const { clock, planes, recorder, changes } = deps

  async function until(what: string, isSo: () => Promise<boolean>, limitMs = untilLimitMs): Promise<number> {
    const startMs = clock.monotonicMs()
    let last = ''
    while (clock.monotonicMs() - startMs < limitMs) {
      try {
        if (await isSo()) return clock.monotonicMs() - startMs
      } catch (thrown) {
        last = thrown instanceof Error ? ` (last error: ${thrown.message})` : ''
      }
      await delay(clock, lookEveryMs, signal)
    }
    throw new Error(`expected within ${Math.round(limitMs / 1_000)} s: ${what}${last}`)
  }

  /** Whether the zone is connected without a hold, and shows the last change that was committed before the call. */
  async function zoneHas(zone: string, plane: Plane, turns: { readonly pair: number }): Promise<boolean> {
    const report = await planes.global.ask('GET', '/_status')
    const zones = Array.isArray(report.body['zones']) ? report.body['zones'] : []
    const one: unknown = zones.find((entry) => Reflect.get(Object(entry), 'zone') === zone)
    if (Reflect.get(Object(one), 'connected') !== true) return false
    const own = await plane.ask('GET', '/_status')
    const uplink = Object(own.body['uplink'])
    if (own.status !== 200 || uplink.phase !== 'connected' || uplink.hold !== undefined) return false
    const { body } = await plane.ask('GET', `/meshes/${chaosMesh}/meshgatewayroutes?size=1000`)
    const shown = Number(turnOf(body['items'], pairNames[0])?.slice('turn-'.length))
    return shown >= turns.pair
  }

  return {
    ...deps,
    until,
    wait: (ms: number): Promise<void> => delay(clock, ms, signal),
    misuse: (text: string) => new CommandError(text, 2),
    /**
     * Resolves when every zone has all changes committed before the call, and the gateway serves the last route of them.
     * Returns how long that took.
     */
    async converged(limitMs: number): Promise<number> {
      const startMs = clock.monotonicMs()
      const newest = changes.newest()
      for (const [zone, plane] of planes.zones) {
        const leftMs = Math.max(1, startMs + limitMs - clock.monotonicMs())
        await until(`zone ${zone} has all committed changes`, () => zoneHas(zone, plane, newest), leftMs)
      }
      const leftMs = Math.max(1, startMs + limitMs - clock.monotonicMs())
      await until(
        'the gateway serves the last committed route',
        async () => (deps.servedRoute() ?? newest.route) >= newest.route,
        leftMs,
      )
      return clock.monotonicMs() - startMs
    },
    /** Releases a zone's hold at the zone, as an operator does. */
    async release(zone: string): Promise<void> {
      recorder.releasing(zone)
      const { status, body } = (await planes.zones.get(zone)?.ask('POST', `/zones/${zone}/_release`, {})) ?? {}
      if (status === undefined || status >= 300)
        throw new Error(`cannot release zone ${zone}: ${status} ${JSON.stringify(body)}`)
    },
  }
}
export type Scene = ReturnType<typeof createScene>
