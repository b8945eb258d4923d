import { flap, halfOpen, late, partition, slow } from '@zonemesh/cli/chaos/faults/faults.ts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { also, convergedMs, expectHeld, startVictim, type Victim } from './rig.ts'

// Faults of lines, on one demo. Its names are drawn, so the tests do not depend on one set of names.
let victim: Victim
beforeAll(async () => {
  victim = await startVictim(101)
})
afterAll(() => victim[Symbol.asyncDispose]())

test('F1 a zone is cut off under traffic and changes: both ends report it within 12 s, no request fails, and all is current 5 s after healing', async () => {
  // Both ends must have reported it during the fault, otherwise the fault counts as one without effect.
  const verdict = await expectHeld(victim, [partition('east', 10_000, 'both')])
  expect(Math.max(...convergedMs(verdict))).toBeLessThan(5_000)
})

test('F2 F7 one direction of a line is lost: the receiving end reports it within 12 s, and late messages change nothing', async () => {
  const verdict = await expectHeld(victim, [partition('east', 10_000, 'down'), partition('west', 10_000, 'up')])
  expect(Math.max(...convergedMs(verdict))).toBeLessThan(5_000)
})

test('F3 the global is replaced behind a balancer that keeps the old connection: a new session opens within 10 s', async () => {
  const verdict = await expectHeld(victim, [halfOpen('west')])
  const seconds = Number(/new session after ([\d.]+) s/.exec(verdict.faults[0]?.evidence.join() ?? '')?.[1])
  expect(seconds).toBeLessThanOrEqual(10)
})

test('F4 a line goes down and up every 2 s: the session stays, and no status alternates between connected and lost', async () => {
  const fault = also(flap('east', 2_000, 4), ({ recorder }, fromMs, healedAtMs) => {
    const said = recorder.global(fromMs, healedAtMs).flatMap(({ zones }) => zones.filter(({ zone }) => zone === 'east'))
    const changes = said.filter(({ connected }, index) => index > 0 && connected !== said[index - 1]?.connected).length
    return changes <= 1 ? [] : [`the global changed its mind ${changes} times`]
  })
  const verdict = await expectHeld(victim, [fault])
  expect(Math.max(...convergedMs(verdict))).toBeLessThan(3_000)
})

test('F12 a line passes 1 KiB/s: this zone is shown behind and catches up, and the other zone is never a second late', async () => {
  const fault = also(slow('east', 1_024, 10_000), ({ recorder }, fromMs, healedAtMs) => {
    const west = recorder.global(fromMs, healedAtMs).flatMap(({ zones }) => zones.filter(({ zone }) => zone === 'west'))
    const lagMs = Math.max(...west.map((one) => one.lagMs))
    return lagMs < 1_000 ? [] : [`zone west was ${lagMs} ms late`]
  })
  await expectHeld(victim, [fault])
})

test('F44 a line has 300 ms of delay and 100 ms of jitter each way: no session is lost, and commits are less than 2 s late', async () => {
  const fault = also(late('west', 300, 100, 6_000), ({ recorder }, fromMs, healedAtMs) => {
    const west = recorder.global(fromMs, healedAtMs).flatMap(({ zones }) => zones.filter(({ zone }) => zone === 'west'))
    const lagMs = Math.max(...west.map((one) => one.lagMs))
    const epochs = new Set(west.map(({ epoch }) => epoch))
    return [
      ...(lagMs < 2_000 ? [] : [`commits were ${lagMs} ms late`]),
      ...(epochs.size === 1 ? [] : ['the session was lost']),
    ]
  })
  await expectHeld(victim, [fault])
})
