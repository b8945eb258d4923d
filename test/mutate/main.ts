// npm run mutate [-- FILE-OR-FOLDER…] [--sample N] [--seed N] [--minutes N] [--tests FILE…]: plants small mistakes and
// counts how many the nearest tests detect, or the tests that --tests names. The score is a measure, not a threshold:
// the command fails only if tests fail without a mistake, or if the command itself breaks.
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'
import { performance } from 'node:perf_hooks'
import { parseArgs } from 'node:util'
import { createSeededRandom } from '@zonemesh/shared/env/random.ts'
import { areaOf, areas, root, sourcesBelow, testsOf } from './areas.ts'
import type { Task, Verdict } from './bench.ts'
import { applied, type Mutant, mutantsOf, shownMutant } from './mutants.ts'

interface Planted {
  readonly file: string
  readonly area: string
  readonly code: string
  readonly mutant: Mutant
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    sample: { type: 'string' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    minutes: { type: 'string' },
    tests: { type: 'string', multiple: true },
  },
})
const places = positionals.length > 0 ? positionals.map((place) => relative(root, resolve(place))) : areas
const all = [...new Set(places.flatMap(sourcesBelow))].flatMap((file): Planted[] => {
  const code = readFileSync(join(root, file), 'utf8')
  return mutantsOf(code).map((mutant) => ({ file, area: areaOf(file), code, mutant }))
})
const chosen = values.sample === undefined ? all : drawn(all, Number(values.sample), Number(values.seed))
const endsAtMs = performance.now() + Number(values.minutes ?? Number.POSITIVE_INFINITY) * 60_000
const leftMs = (): number => endsAtMs - performance.now()
const print = (line: string) => void process.stdout.write(`${line}\n`)

print(
  `${all.length} mutants in ${places.length} places${values.sample ? `, ${chosen.length} drawn with --seed ${values.seed}` : ''}`,
)

/** A sample of a list, in its order; the same for the same seed. */
function drawn(from: readonly Planted[], count: number, seed: number): readonly Planted[] {
  const random = createSeededRandom(seed)
  const left = from.map((_, index) => index)
  const picked: number[] = []
  while (picked.length < count && left.length > 0)
    picked.push(...left.splice(Math.floor(random.fraction() * left.length), 1))
  return picked.sort((a, b) => a - b).flatMap((index) => from[index] ?? [])
}

/** The process that runs tests. It is restarted after a mutant that did not finish. */
function createBench() {
  let child: ChildProcess | undefined
  async function start(): Promise<ChildProcess> {
    const started = fork(join(import.meta.dirname, 'bench.ts'), { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] })
    started.stderr?.resume()
    await once(started, 'message')
    return started
  }
  return {
    /** Undefined if there is no result in time. */
    async run(task: Task, limitMs: number): Promise<Verdict | undefined> {
      child ??= await start()
      const running = child
      running.send(task)
      const { promise, resolve: settle, reject } = Promise.withResolvers<Verdict | undefined>()
      const timer = setTimeout(() => settle(undefined), Math.min(limitMs, 2 ** 31 - 1))
      const onMessage = (message: { readonly verdict?: Verdict; readonly error?: string }) =>
        message.verdict ? settle(message.verdict) : reject(new Error(`the runner failed: ${message.error}`))
      // A mutant may make the process exit; that counts as detected.
      const onExit = () => settle(undefined)
      running.once('message', onMessage).once('exit', onExit)
      try {
        const verdict = await promise
        if (!verdict) this.close()
        return verdict
      } catch (thrown) {
        this.close()
        throw thrown
      } finally {
        clearTimeout(timer)
        running.off('message', onMessage).off('exit', onExit)
      }
    },
    close(): void {
      child?.kill('SIGKILL')
      child = undefined
    },
  }
}

const noTests: Verdict = { failed: [], durationMsByTest: {} }
const quickMs = 500

/** Quick test files run first: most mistakes are detected before a slow one starts. */
function batchesOf(tests: readonly string[], { durationMsByTest }: Verdict): readonly (readonly string[])[] {
  const isQuick = (test: string): boolean => (durationMsByTest[test] ?? 0) < quickMs
  const batches = [tests.filter(isQuick), tests.filter((test) => !isQuick(test))]
  return batches.filter((batch) => batch.length > 0)
}

const bench = createBench()
const cleanRun = async (tests: readonly string[]): Promise<Verdict | undefined> =>
  tests.length === 0 ? noTests : bench.run({ tests }, Math.min(baselineMaxMs, leftMs()))
// With a time limit, the order is random so that not always the same areas are measured.
const order = createSeededRandom(Number(values.seed))
const chosenAreas = [...new Set(chosen.map((one) => one.area))]
const orderedAreas =
  values.minutes === undefined
    ? chosenAreas
    : chosenAreas
        .map((area) => ({ area, at: order.fraction() }))
        .sort((a, b) => a.at - b.at)
        .map(({ area }) => area)
const baselineMaxMs = 120_000
let isBroken = false
const totals = { caught: 0, tried: 0 }
for (const area of orderedAreas) {
  if (leftMs() <= 0) break
  const tests = values.tests ?? testsOf(area)
  const mine = chosen.filter((one) => one.area === area)
  // The first run compiles and starts what later runs find; the second one is timed.
  const first = await cleanRun(tests)
  const startedMs = performance.now()
  const clean = first && first.failed.length === 0 ? await cleanRun(tests) : first
  if (!clean && leftMs() <= 0) break
  const baselineMs = performance.now() - startedMs
  if (!clean || clean.failed.length > 0) {
    isBroken = true
    print(`✘ ${area}: its tests fail without a mistake: ${clean?.failed.join(', ') ?? 'no answer in time'}`)
    continue
  }
  const batches = batchesOf(tests, clean)
  const survivors: string[] = []
  let tried = 0
  for (const { file, code, mutant } of mine) {
    if (leftMs() <= 0) break
    const mutated = { file, code: applied(code, mutant) }
    let verdict: Verdict | undefined = noTests
    for (const batch of batches) {
      verdict = await bench.run({ tests: batch, mutated }, Math.min(5_000 + 4 * baselineMs, leftMs()))
      if (!verdict || verdict.failed.length > 0) break
    }
    // A mutant without a verdict counts as detected only if its time was not cut short.
    if (!verdict && leftMs() <= 0) break
    tried += 1
    if (verdict && verdict.failed.length === 0) survivors.push(shownMutant(file, code, mutant))
  }
  totals.tried += tried
  totals.caught += tried - survivors.length
  print(`${area}: ${tried - survivors.length} of ${tried} caught by ${tests.length} test files`)
  for (const survivor of survivors) print(`  survived  ${survivor}`)
}
bench.close()
if (totals.tried < chosen.length) print(`${chosen.length - totals.tried} mutants were not tried`)
const percent = totals.tried === 0 ? 0 : Math.round((100 * totals.caught) / totals.tried)
print(`${totals.caught} of ${totals.tried} caught (${percent} %)`)
if (isBroken || totals.tried === 0) process.exitCode = 1
