import { existsSync } from 'node:fs'
import type { Direction } from '../relay.ts'
import type { Scene } from '../scene.ts'

/** Requests that may fail, because they pass what a fault has stopped. */
export interface Allowance {
  readonly paths: readonly string[]
  readonly fromMs: number
  readonly untilMs: number
  readonly why: string
}

/** The evidence that a fault had an effect, the missing evidence, and wrong effects. */
export interface Proof {
  readonly evidence: readonly string[]
  readonly misses: readonly string[]
  readonly problems: readonly string[]
  /** Requests that may fail because of the fault. Without it, none may. */
  readonly allowances?: readonly Allowance[]
}

/**
 * One type of fault. `run` injects and removes it; `prove` checks the samples of that period after the stack has
 * converged.
 */
export interface Fault {
  readonly title: string
  /** The scenario that the fault is part of. */
  readonly scenario?: string
  /** How long the fault lasts; absent if that depends on the stack. */
  readonly forMs?: number
  /** Set if the stack needs more time than usual to converge. */
  readonly convergeMs?: number
  run(scene: Scene): Promise<readonly string[]>
  prove(scene: Scene, fromMs: number, healedAtMs: number): Omit<Proof, 'problems'>
}

/** A session ends after this silence. A shorter fault appears only as a delay. */
const cutAfterMs = 7_000
const cutSurelyMs = cutAfterMs + 2_500

export const seconds = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`
const most = (values: readonly number[]): number => Math.max(0, ...values)

/** Collects evidence and missing evidence. */
export function ledger() {
  const evidence: string[] = []
  const misses: string[] = []
  return {
    evidence,
    misses,
    expect(isSo: boolean, shown: string, missed: string): void {
      if (isSo) evidence.push(shown)
      else misses.push(missed)
    },
  }
}

const needZone = (scene: Scene, zone: string): string => {
  if (scene.stack.zones[zone]) return zone
  throw scene.misuse(`unknown zone "${zone}"; zones of this stack: ${Object.keys(scene.stack.zones).join(', ')}`)
}

/** Drops all bytes between a zone and the global without closing connections. */
export function partition(zone: string, forMs: number, direction: 'both' | Direction): Fault {
  const closed: readonly Direction[] = direction === 'both' ? ['up', 'down'] : [direction]
  return {
    title: `partition ${zone} for ${seconds(forMs)}${direction === 'both' ? '' : `, ${direction} only`}`,
    forMs,
    async run(scene) {
      await scene.injector.breakLine(needZone(scene, zone), { blackHole: [...closed] })
      await scene.wait(forMs)
      await scene.injector.healLine(zone)
      return []
    },
    prove({ recorder }, fromMs, healedAtMs) {
      const book = ledger()
      const waited = most(
        recorder.states(fromMs, healedAtMs).flatMap(({ lines }) => {
          const bytes = lines[zone]?.bytes
          return bytes ? closed.map((one) => bytes[one].waiting + bytes[one].lost) : []
        }),
      )
      book.expect(waited > 0, `the relay held ${waited} bytes`, 'the relay held no bytes')
      if (forMs >= cutSurelyMs) {
        const lost = recorder
          .zone(zone, fromMs, healedAtMs)
          .find(({ answered, phase }) => answered && phase !== 'connected')
        const reported = recorder
          .global(fromMs, healedAtMs + 2_000)
          .find(({ zones }) => zones.some((one) => one.zone === zone && !one.connected))
        book.expect(
          lost !== undefined,
          `zone ${zone} reported after ${seconds((lost?.atMs ?? 0) - fromMs)} that it was not connected (${lost?.reason})`,
          `zone ${zone} never reported that it was not connected`,
        )
        book.expect(
          reported !== undefined,
          `the global reported after ${seconds((reported?.atMs ?? 0) - fromMs)} that zone ${zone} was not connected`,
          `the global never reported that zone ${zone} was not connected`,
        )
      } else if (closed.includes('down')) {
        const bookmarkMsAgo = most(recorder.zone(zone, fromMs, healedAtMs).map((one) => one.bookmarkMsAgo))
        const requiredMs = Math.min(forMs * 0.6, 3_000)
        const text = `zone ${zone} received no bookmark from the global for ${seconds(bookmarkMsAgo)}`
        book.expect(bookmarkMsAgo >= requiredMs, text, `${text}, expected at least ${seconds(requiredMs)}`)
      } else {
        const lag = most(lagsOf({ recorder }, zone, fromMs, healedAtMs))
        book.expect(
          lag > 0,
          `the global reported zone ${zone} ${lag} revisions behind`,
          `the global never reported zone ${zone} behind`,
        )
      }
      return book
    },
  }
}

const lagsOf = ({ recorder }: Pick<Scene, 'recorder'>, zone: string, fromMs: number, toMs: number): number[] =>
  recorder.global(fromMs, toMs).flatMap(({ zones }) => zones.filter((one) => one.zone === zone).map(({ lag }) => lag))

/** The zones whose sessions include a role. */
const zonesOf = (scene: Scene, role: string): string[] =>
  Object.keys(scene.stack.zones).filter((zone) => role === 'global' || role === `zone-${zone}`)

const needRole = async (scene: Scene, role: string) => {
  const roles = await scene.injector.roles()
  const planes = roles.filter(({ name }) => name === 'global' || zonesOf(scene, name).length > 0)
  const found = planes.find(({ name }) => name === role)
  if (found) return found
  throw scene.misuse(
    `unknown plane "${role}"; planes of this stack: ${planes.map(({ name }) => name).join(', ') || 'none'}`,
  )
}

/** Checks that the earlier sessions have ended: their zones later reported a new epoch. */
function expectNewSessions(scene: Scene, role: string, fromMs: number, book: ReturnType<typeof ledger>): void {
  for (const zone of zonesOf(scene, role)) {
    const before =
      scene.recorder.zone(zone, 0, fromMs).findLast(({ answered, epoch }) => answered && epoch > 0)?.epoch ?? 0
    const after = scene.recorder.newest(zone)?.epoch ?? 0
    const text = `session of zone ${zone}: epoch ${before} → ${after}`
    book.expect(after > before, text, `${text}, expected a new epoch`)
  }
}

/** Kills a plane and starts it again. */
export function kill(role: string, forMs: number): Fault {
  let [before, after] = [0, 0]
  return {
    title: `kill ${role} for ${seconds(forMs)}`,
    forMs,
    async run(scene) {
      before = (await needRole(scene, role)).pid
      await scene.injector.end(role, 'SIGKILL')
      await scene.wait(forMs)
      await scene.injector.start(role)
      after = (await needRole(scene, role)).pid
      return []
    },
    prove(scene, fromMs) {
      const book = ledger()
      const text = `process of ${role}: ${before} → ${after}`
      book.expect(before !== after && before > 0, text, `${text}, expected a new process`)
      expectNewSessions(scene, role, fromMs, book)
      return book
    },
  }
}

/** Pauses a plane: it does not answer or exit, and its connections stay open. */
export function pause(role: string, forMs: number): Fault {
  return {
    title: `pause ${role} for ${seconds(forMs)}`,
    forMs,
    async run(scene) {
      await needRole(scene, role)
      await scene.injector.pause(role)
      await scene.wait(forMs)
      await scene.injector.resume(role)
      return []
    },
    prove(scene, fromMs, healedAtMs) {
      const book = ledger()
      const { recorder } = scene
      const zone = role.replace(/^zone-/, '')
      const samples = role === 'global' ? recorder.global(fromMs, healedAtMs) : recorder.zone(zone, fromMs, healedAtMs)
      const silent = samples.filter(({ answered }) => !answered).length
      const text = `${role} did not answer ${silent} of ${samples.length} requests`
      book.expect(silent > 0, text, `${role} answered all ${samples.length} requests`)
      if (forMs >= cutSurelyMs) expectNewSessions(scene, role, fromMs, book)
      return book
    },
  }
}

/** Limits the bytes per second in each direction. */
export function slow(zone: string, bytesPerSecond: number, forMs: number): Fault {
  return {
    title: `slow ${zone} to ${bytesPerSecond} B/s for ${seconds(forMs)}`,
    forMs,
    convergeMs: 30_000,
    async run(scene) {
      await scene.injector.breakLine(needZone(scene, zone), { bytesPerSecond })
      await scene.wait(forMs)
      await scene.injector.healLine(zone)
      return []
    },
    prove(scene, fromMs, healedAtMs) {
      const book = ledger()
      const states = scene.recorder.states(fromMs, healedAtMs).flatMap(({ atMs, lines }) => {
        const line = lines[zone]
        return line ? [{ atMs, ...line.bytes.down }] : []
      })
      const [first, last] = [states[0], states.at(-1)]
      const rate =
        first && last && last.atMs > first.atMs ? ((last.passed - first.passed) / (last.atMs - first.atMs)) * 1_000 : 0
      const waiting = most(states.map((one) => one.waiting))
      const text = `the relay forwarded ${Math.round(rate)} B/s to zone ${zone} and queued up to ${waiting} bytes`
      const rateMax = bytesPerSecond * 1.3
      book.expect(
        rate <= rateMax && waiting > 0,
        text,
        `${text}, expected at most ${Math.round(rateMax)} B/s and a queue`,
      )
      const lag = most(lagsOf(scene, zone, fromMs, healedAtMs))
      book.expect(
        lag >= 2,
        `the global reported zone ${zone} up to ${lag} revisions behind`,
        `the global never reported zone ${zone} 2 revisions behind`,
      )
      return book
    },
  }
}

/** Loses packets on a line. TCP sends them again, so their bytes and all after them arrive later. */
export function loss(zone: string, percent: number, forMs: number): Fault {
  return {
    title: `lose ${percent} % of the packets of ${zone} for ${seconds(forMs)}`,
    forMs,
    convergeMs: 30_000,
    async run(scene) {
      await scene.injector.breakLine(needZone(scene, zone), { lossPercent: percent })
      await scene.wait(forMs)
      await scene.injector.healLine(zone)
      return []
    },
    prove({ recorder }, fromMs, healedAtMs) {
      const book = ledger()
      const sent = recorder
        .states(fromMs, healedAtMs)
        .map(({ lines }) => (lines[zone]?.bytes.up.retransmitted ?? 0) + (lines[zone]?.bytes.down.retransmitted ?? 0))
      const again = (sent.at(-1) ?? 0) - (sent[0] ?? 0)
      book.expect(again > 0, `${again} packets were sent again`, 'no packet was lost')
      return book
    },
  }
}

/** Delays the bytes on a line. */
export function late(zone: string, delayMs: number, jitterMs: number, forMs: number): Fault {
  const calmMs = 1_500
  const lagMs = ({ recorder }: Scene, fromMs: number, toMs: number) =>
    most(
      recorder
        .global(fromMs, toMs)
        .flatMap(({ zones }) => zones.filter((one) => one.zone === zone).map((one) => one.lagMs)),
    )
  return {
    title: `delay ${zone} by ${delayMs} ms (± ${jitterMs} ms) for ${seconds(forMs)}`,
    forMs,
    async run(scene) {
      await scene.injector.breakLine(needZone(scene, zone), { delayMs, jitterMs })
      await scene.wait(forMs)
      await scene.injector.healLine(zone)
      return []
    },
    prove(scene, fromMs, healedAtMs) {
      const book = ledger()
      const [before, during] = [lagMs(scene, fromMs - calmMs, fromMs), lagMs(scene, fromMs, healedAtMs)]
      const text = `the global reported zone ${zone} up to ${during} ms late, before the fault up to ${before} ms`
      book.expect(during >= delayMs, text, `${text}, expected at least ${delayMs} ms`)
      return book
    },
  }
}

const libraries = ['x86_64-linux-gnu', 'aarch64-linux-gnu', '.'].map((at) => `/usr/lib/${at}/faketime/libfaketime.so.1`)
export const findFaketime = (given: string | undefined): string | undefined =>
  (given === undefined ? libraries : [given]).find((path) => existsSync(path))

/** Restarts a plane with another wall clock, and later with the right one. Its monotonic clock is not changed. */
export function clockJump(role: string, byText: string, byMs: number, forMs: number, library: string): Fault {
  let differenceMs = 0
  return {
    title: `clock of ${role} ${byText} for ${seconds(forMs)}`,
    async run(scene) {
      await needRole(scene, role)
      await scene.injector.end(role, 'SIGTERM')
      const environment = {
        LD_PRELOAD: library,
        FAKETIME: `${byMs < 0 ? '-' : '+'}${Math.abs(byMs) / 1_000}`,
        FAKETIME_DONT_FAKE_MONOTONIC: '1',
      }
      await scene.injector.start(role, environment)
      const zone = role.replace(/^zone-/, '')
      const plane = role === 'global' ? scene.planes.global : scene.planes.zones.get(zone)
      await scene.until(`${role} answers`, async () => {
        differenceMs = ((await plane?.ask('GET', '/'))?.dateMs ?? 0) - scene.clock.wallMs()
        return true
      })
      await scene.wait(forMs)
      await scene.injector.end(role, 'SIGTERM')
      await scene.injector.start(role)
      return []
    },
    prove(scene, fromMs) {
      const book = ledger()
      const text = `the clock of ${role} differed from the clock of this machine by ${seconds(differenceMs)}`
      book.expect(Math.abs(differenceMs - byMs) < 10_000, text, `${text}, expected ${seconds(byMs)}`)
      expectNewSessions(scene, role, fromMs, book)
      return book
    },
  }
}

/** Replaces the global's store by an older copy. Zones must hold the older history and lose no rows. */
export function restoreOldStore(): Fault {
  let held = 0
  let [olderHead, newerHead] = [0, 0]
  return {
    title: "restore an old copy of the global's store",
    convergeMs: 30_000,
    async run(scene) {
      const { injector, recorder, stack } = scene
      const file = stack.global.storeFile
      if (file === undefined)
        throw scene.misuse('the stack file has no path of the store of the global (global.storeFile)')
      const zones = Object.keys(stack.zones)
      const problems: string[] = []
      await needRole(scene, 'global')
      const copy = injector.store('global', file)
      try {
        await injector.end('global', 'SIGTERM')
        await copy.keep()
        await injector.start('global')
        await scene.converged(scene.convergeMs)
        olderHead = recorder.global(0).findLast(({ answered }) => answered)?.head ?? 0
        // The copy lacks enough revisions that no zone is at a position that both histories have.
        await scene.wait(3_000)
        newerHead = recorder.global(0).findLast(({ answered }) => answered)?.head ?? 0
        const rowsBefore = new Map(zones.map((zone) => [zone, recorder.rowCount(zone)]))
        await injector.end('global', 'SIGTERM')
        await copy.putBack()
        await injector.start('global')
        await scene.until('every zone holds the changes of the older history', async () => {
          held = zones.filter((zone) => recorder.newest(zone)?.hold !== '' && recorder.newest(zone)?.answered).length
          return held === zones.length
        })
        await scene.wait(2_000)
        for (const zone of zones) {
          const [before, now] = [rowsBefore.get(zone) ?? 0, recorder.rowCount(zone)]
          if (now < before) problems.push(`zone ${zone} has ${now} rows while it holds, expected at least ${before}`)
        }
        for (const zone of zones) await scene.release(zone)
      } finally {
        await copy.forget()
      }
      return problems
    },
    prove(scene) {
      const book = ledger()
      const zones = Object.keys(scene.stack.zones).length
      book.expect(
        newerHead > olderHead,
        `the copy lacked revisions ${olderHead + 1} to ${newerHead}`,
        'the copy lacked no revisions',
      )
      book.expect(held === zones, `${held} of ${zones} zones held`, `only ${held} of ${zones} zones held`)
      return book
    },
  }
}

/** Replaces the global behind a balancer that keeps its connections open, so that the zone is not notified. */
export function halfOpen(zone: string): Fault {
  let newSessionMs: number | undefined
  return {
    title: `replace the global behind a balancer that keeps the connection of ${zone}`,
    async run(scene) {
      const { injector, recorder } = scene
      const before = recorder.newest(needZone(scene, zone))?.epoch ?? 0
      await injector.breakLine(zone, { halfOpen: true })
      const startMs = recorder.now()
      await injector.end('global', 'SIGKILL')
      await injector.start('global')
      await scene.until(`zone ${zone} has a new session`, async () => {
        const now = recorder.newest(zone)
        return now?.answered === true && now.epoch > before && now.phase === 'connected'
      })
      newSessionMs = recorder.now() - startMs
      await injector.healLine(zone)
      return []
    },
    prove({ recorder }, fromMs, healedAtMs) {
      const book = ledger()
      const kept = most(recorder.states(fromMs, healedAtMs).map(({ lines }) => lines[zone]?.halfOpen ?? 0))
      book.expect(kept > 0, `the relay kept ${kept} dead connections`, 'the relay kept no dead connections')
      const lost = recorder
        .zone(zone, fromMs, healedAtMs)
        .find(({ answered, phase }) => answered && phase !== 'connected')
      const text = `zone ${zone} opened a new session after ${seconds(newSessionMs ?? 0)} (${lost?.reason || 'no sample shows the end of the former one'})`
      book.expect(
        newSessionMs !== undefined && newSessionMs > 1_000,
        text,
        `${text}, expected more than 1 s, because the zone is not notified`,
      )
      return book
    },
  }
}

/** Interrupts a line repeatedly, each time too briefly to end a session. */
export function flap(zone: string, everyMs: number, times: number): Fault {
  return {
    title: `line of ${zone} ${seconds(everyMs)} down, ${seconds(everyMs)} up, ${times} times`,
    forMs: 2 * everyMs * times,
    async run(scene) {
      needZone(scene, zone)
      for (let turn = 0; turn < times; turn += 1) {
        await scene.injector.breakLine(zone, { blackHole: ['up', 'down'] })
        await scene.wait(everyMs)
        await scene.injector.healLine(zone)
        await scene.wait(everyMs)
      }
      return []
    },
    prove({ recorder }, fromMs, healedAtMs) {
      const book = ledger()
      const samples = recorder.states(fromMs, healedAtMs).flatMap(({ lines }) => lines[zone]?.bytes ?? [])
      const held = samples.filter(({ up, down }) => up.waiting + down.waiting > 0).length
      const text = `the relay held bytes in ${held} of ${samples.length} samples`
      book.expect(held >= times, text, `${text}, expected at least ${times}`)
      return book
    },
  }
}
