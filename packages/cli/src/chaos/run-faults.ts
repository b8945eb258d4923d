import { writeFileSync } from 'node:fs'
import { count, positiveDuration as duration, option, text } from '@zonemesh/plane/config/options.ts'
import { systemClock } from '@zonemesh/shared/env/clock.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import type { Context, ExitCode } from '../base/command.ts'
import type { Fault } from './faults/faults.ts'
import { fleetProject } from './fleet-up.ts'
import { createReporter } from './progress.ts'
import { junitXml } from './report/junit.ts'
import { type ScenarioText, verdictPage } from './report/page.ts'
import { verdictLines } from './report/verdict-lines.ts'
import { runChaos } from './run.ts'
import { findStack } from './stack.ts'

/** The options of every command that injects faults. */
export const runOptions = {
  stack: option(text.optional(), 'the file of the stack; without it, the newest demo of this user', {
    placeholder: 'FILE',
  }),
  compose: option(
    text.optional(),
    'a compose project on this machine that runs compose.chaos.yml or compose.small.chaos.yml',
    { placeholder: 'PROJECT', assumed: fleetProject },
  ),
  json: option(text.optional(), 'write the verdict to this file, as JSON', { placeholder: 'FILE' }),
  html: option(text.optional(), 'write the verdict to this file, as a page with the time line of the run', {
    placeholder: 'FILE',
  }),
  junit: option(text.optional(), 'write the verdict to this file, as JUnit XML', { placeholder: 'FILE' }),
  rate: option(count(1, 5_000).default(100), 'requests per second through the gateway', {
    placeholder: 'N',
    shownDefault: '100',
  }),
  within: option(duration.default(15_000), 'how long the stack may take to converge after a fault', {
    placeholder: 'TIME',
    shownDefault: '15s',
  }),
}

export interface RunValues {
  readonly stack: string | undefined
  readonly compose: string | undefined
  readonly json: string | undefined
  readonly html: string | undefined
  readonly junit: string | undefined
  readonly rate: number
  readonly within: number
}

/** What a verdict states in addition to what happened. */
interface Plan {
  readonly seed?: number
  readonly scenarios?: readonly ScenarioText[]
}

/** Injects the faults, prints the verdict, and writes it to the files that the options name. */
export async function runFaults(
  values: RunValues,
  { print, note, signal, ...context }: Context,
  faults: readonly Fault[],
  { seed, scenarios = [] }: Plan = {},
): Promise<ExitCode> {
  const reporter = createReporter({ note, ...context })
  const deps = { clock: systemClock, random: systemRandom, report: reporter.show, warn: note }
  const options = { perSecond: values.rate, convergeMs: values.within }
  const verdict = await runChaos(deps, await findStack(values), faults, options, signal).finally(reporter.end)
  for (const line of verdictLines(verdict)) print(line)
  const seeds = seed === undefined ? {} : { seed }
  const properties = { ...seeds, rate: values.rate, withinMs: values.within }
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify({ ...seeds, ...verdict }, null, 2)}\n`)
  if (values.junit !== undefined) writeFileSync(values.junit, junitXml(verdict, properties))
  if (values.html !== undefined) writeFileSync(values.html, verdictPage(verdict, scenarios, properties))
  return verdict.ok ? 0 : 1
}
