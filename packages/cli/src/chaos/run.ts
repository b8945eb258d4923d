import { messageOf } from '@zonemesh/shared/base/base.ts'
import { version } from '@zonemesh/shared/base/version.ts'
import { type Clock, delay } from '@zonemesh/shared/env/clock.ts'
import type { Random } from '@zonemesh/shared/env/random.ts'
import { CommandError } from '../base/command.ts'
import type { Answer } from './answers.ts'
import { startChanges } from './changes.ts'
import type { Fault } from './faults/faults.ts'
import { createInjector } from './injector.ts'
import { createPlane } from './plane.ts'
import { type Moment, type Phase, reportEveryMs } from './progress.ts'
import { startRecorder } from './recorder.ts'
import { compareRows, readRows } from './rows.ts'
import { createScene, type Planes, type Scene } from './scene.ts'
import type { Stack } from './stack.ts'
import { pathOf } from './targets.ts'
import { timelineOf } from './timeline.ts'
import { startTraffic, type Traffic } from './traffic.ts'
import { type FaultReport, judge, type Verdict } from './verdict.ts'

interface Deps {
  readonly clock: Clock
  readonly random: Random
  /** Reports the state of the run, several times a second. */
  readonly report: (moment: Moment) => void
  /** Reports what an operator should know in addition to the verdict. */
  readonly warn: (line: string) => void
}

export interface Options {
  readonly perSecond: number
  /** How long a stack may take to converge after a fault. */
  readonly convergeMs: number
}

const calmMs = 1_500

/** Injects faults into a running stack, one after the other, during traffic and changes, and judges the history. */
export async function runChaos(
  deps: Deps,
  stack: Stack,
  faults: readonly Fault[],
  options: Options,
  signal: AbortSignal,
): Promise<Verdict> {
  const { clock } = deps
  const startedAtMs = clock.wallMs()
  const injector = createInjector(stack)
  // This call comes first, so that a missing stack is reported in one sentence.
  const { lines } = await injector.state()
  const planes: Planes = {
    global: createPlane(stack.global.api, stack.token),
    zones: new Map(Object.entries(stack.zones).map(([zone, { api }]) => [zone, createPlane(api, stack.token)])),
  }
  const recorder = startRecorder({ clock, injector, ...planes }, stack)
  const changes = startChanges(
    { clock, random: deps.random, global: planes.global, record: recorder.record },
    stack.scene,
  )
  let traffic: Traffic | undefined
  const servedRoute = () => traffic?.servedRoute()
  const scene = createScene(
    { clock, stack, injector, planes, recorder, changes, servedRoute, convergeMs: options.convergeMs },
    signal,
  )
  try {
    // A run that was killed has left its fault and its rows.
    await heal(scene, Object.keys(lines))
    await changes.begin()
    await scene.converged(options.convergeMs)
    await scene.until('the gateways serve all paths of this run', () => servesPaths(stack))
    traffic = startTraffic({ clock, record: recorder.record }, stack.scene, { perSecond: options.perSecond })
    changes.start()
    const progress = followRun(deps, traffic.answers)
    const reports: FaultReport[] = []
    try {
      await delay(clock, calmMs, signal)
      for (const fault of faults) {
        reports.push(await runFault(scene, fault, options, progress.enter))
        progress.enter({ name: 'calm' })
        await delay(clock, calmMs, signal)
      }
    } finally {
      await progress.stop()
      await heal(scene, Object.keys(lines))
      await changes.stop()
      await traffic.stop()
    }
    await recordFinal(scene)
    await recorder.stop()
    const counts = {
      ...traffic.count(),
      ...changes.count(),
      routes: changes.newest().route,
      servedRoute: servedRoute() ?? 0,
    }
    const facts = { startedAt: new Date(startedAtMs).toISOString(), tookMs: clock.wallMs() - startedAtMs }
    const versions = await versionsOf(planes)
    const answers = traffic.answers()
    const timeline = timelineOf(answers, recorder.global(0), recorder.history())
    return judge(recorder.history(), reports, counts, answers, { ...facts, versions }, timeline)
  } finally {
    await recorder.stop()
    await changes.clear().catch((thrown: unknown) => deps.warn(messageOf(thrown)))
  }
}

/** Reports the state of a run repeatedly, and at once when its phase changes. */
function followRun({ clock, report }: Deps, answers: () => readonly Answer[]) {
  const end = new AbortController()
  let phase: Phase = { name: 'calm' }
  const show = () => report({ atMs: clock.monotonicMs(), phase, answers: answers() })
  async function run(): Promise<void> {
    while (!end.signal.aborted) {
      show()
      await delay(clock, reportEveryMs, end.signal).catch(() => undefined)
    }
  }
  const running = run()
  return {
    enter(next: Phase): void {
      phase = next
      show()
    },
    async stop(): Promise<void> {
      end.abort()
      await running
    },
  }
}

async function versionsOf({ global, zones }: Planes): Promise<Readonly<Record<string, string>>> {
  const named = [['global', global] as const, ...[...zones].map(([zone, plane]) => [`zone-${zone}`, plane] as const)]
  const found = await Promise.all(
    named.map(async ([name, plane]) => [name, String((await plane.ask('GET', '/')).body['version'])] as const),
  )
  return { zonemesh: version, ...Object.fromEntries(found) }
}

async function runFault(
  scene: Scene,
  fault: Fault,
  options: Options,
  enter: (phase: Phase) => void,
): Promise<FaultReport> {
  const { recorder } = scene
  const fromMs = recorder.now()
  const limitMs = Math.max(options.convergeMs, fault.convergeMs ?? 0)
  const problems: string[] = []
  let convergedMs: number | undefined
  let healedAtMs = 0
  enter({ name: 'fault', title: fault.title, fromMs, forMs: fault.forMs })
  try {
    problems.push(...(await fault.run(scene)))
    healedAtMs = recorder.now()
    enter({ name: 'after', title: fault.title, fromMs: healedAtMs })
    convergedMs = await scene.converged(limitMs)
  } catch (thrown) {
    // Wrong usage: there is nothing to judge.
    if (thrown instanceof CommandError && thrown.exitCode === 2) throw thrown
    problems.push(messageOf(thrown))
  }
  // Waits for one more sample, so that the samples include the final state.
  await scene.wait(500)
  const proof = fault.prove(scene, fromMs, healedAtMs || recorder.now())
  return {
    title: fault.title,
    scenario: fault.scenario,
    ...proof,
    problems,
    fromMs,
    healedAtMs: healedAtMs || recorder.now(),
    convergedMs,
    limitMs,
  }
}

/** Removes all faults and starts all planes again. */
async function heal({ injector, stack }: Scene, lines: readonly string[]): Promise<void> {
  for (const line of lines) await injector.healLine(line).catch(() => undefined)
  const roles = await injector.roles().catch(() => [])
  // At once, because a stack of containers has many.
  await Promise.all(
    roles.map(async ({ name, running }) => {
      if (running) await injector.resume(name).catch(() => undefined)
      else await injector.start(name).catch(() => undefined)
      if (stack.parts.some((one) => one.name === name)) await injector.connect(name).catch(() => undefined)
    }),
  )
}

async function servesPaths({ scene }: Stack): Promise<boolean> {
  const { requestOnce } = await import('../base/http.ts')
  for (const to of scene.services) {
    const [host = '', port = ''] = (to.entrance ?? scene.entrance).split(':')
    const { status } = await requestOnce({ host, port: Number(port), hostname: scene.hostname, path: pathOf(to) })
    if (status !== 200) return false
  }
  return true
}

/** Compares the rows of all planes with those of their owners after the last change. */
async function recordFinal(scene: Scene): Promise<void> {
  const { planes, recorder } = scene
  const compare = async () => {
    const global = await readRows(planes.global)
    const found: { readonly plane: string; readonly missing: string[]; readonly surplus: string[] }[] = []
    for (const [zone, plane] of planes.zones) {
      const own = await readRows(plane)
      const [down, up] = [compareRows('global', global, own), compareRows(zone, own, global)]
      found.push({ plane: zone, ...down }, { plane: 'global', ...up })
    }
    return found
  }
  const limitMs = scene.convergeMs
  await scene
    .until(
      'all planes have equal rows',
      async () => (await compare()).every((one) => one.missing.length + one.surplus.length === 0),
      limitMs,
    )
    .catch(() => undefined)
  for (const one of await compare()) recorder.record({ type: 'final', atMs: recorder.now(), ...one })
}
