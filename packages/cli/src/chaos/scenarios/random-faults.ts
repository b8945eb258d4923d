import { type Fault, kill, late, partition, pause, restoreOldStore, slow } from '../faults/faults.ts'
import { stopPart } from '../faults/part-faults.ts'
import type { Stack } from '../stack.ts'
import { createDraw } from './draw.ts'

const faultsMin = 4
const faultsMax = 6
/** The time around a fault: to converge, and the calm period after it. */
const aroundMs = 6_000
const restoreMs = 20_000

/** Draws faults from a seed: each type at most once, at least one that ends sessions, all within the time limit. */
export function drawFaults(
  seed: number,
  { zones: zonesByName, parts }: Pick<Stack, 'zones' | 'parts'>,
  hasStore: boolean,
  limitMs: number,
): Fault[] {
  const { number, one } = createDraw(seed)
  const zones = Object.keys(zonesByName)
  const zone = () => one(zones)
  const stop = (how: 'kill' | 'pause', ms: number): Fault => {
    if (parts.length > 0) return stopPart(how, one(parts), ms)
    const plane = one(['global', ...zones.map((name) => `zone-${name}`)])
    return how === 'kill' ? kill(plane, ms) : pause(plane, ms)
  }
  type Draw = () => { readonly fault: Fault; readonly ms: number }
  const lasting = (ms: number, fault: Fault) => ({ fault, ms: ms + aroundMs })
  const cut: Draw = () => {
    const ms = number(10_000, 14_000)
    return lasting(ms, partition(zone(), ms, one(['both', 'both', 'up', 'down'])))
  }
  const draws: Draw[] = [
    cut,
    () => {
      const ms = number(500, 5_000)
      return lasting(ms, stop('kill', ms))
    },
    () => {
      const ms = number(3_000, 11_000)
      return lasting(ms, stop('pause', ms))
    },
    () => {
      const ms = number(6_000, 10_000)
      return lasting(ms, slow(zone(), number(1_500, 3_000), ms))
    },
    () => {
      const ms = number(4_000, 7_000)
      return lasting(ms, late(zone(), number(200, 500), number(0, 100), ms))
    },
  ]
  const withStore: Draw[] = hasStore ? [...draws, () => ({ fault: restoreOldStore(), ms: restoreMs })] : draws
  const count = number(faultsMin, faultsMax)
  const drawn = [cut()]
  let usedMs = drawn[0]?.ms ?? 0
  let left = withStore.filter((draw) => draw !== cut)
  while (drawn.length < count && left.length > 0) {
    const draw = one(left)
    left = left.filter((other) => other !== draw)
    const next = draw()
    if (usedMs + next.ms > limitMs) continue
    usedMs += next.ms
    drawn.push(next)
  }
  return drawn.map(({ fault }) => fault)
}
