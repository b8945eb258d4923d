import { integer, option, toggle } from '@zonemesh/plane/config/options.ts'
import { z } from 'zod'
import { CommandError, defineCommand } from '../base/command.ts'
import { fleetProject, startFleet } from '../chaos/fleet-up.ts'
import { type RunValues, runFaults, runOptions } from '../chaos/run-faults.ts'
import { createDraw } from '../chaos/scenarios/draw.ts'
import { drawFaults } from '../chaos/scenarios/random-faults.ts'
import { planScenarios, type Scenario, scenarios } from '../chaos/scenarios/scenarios.ts'
import { findStack } from '../chaos/stack.ts'

const minutesExpected = 'expected a number from 0.5 to 60'
const minutes = z.coerce.number({ error: minutesExpected }).min(0.5, minutesExpected).max(60, minutesExpected)

const seedOption = (what: string) =>
  option(integer.default(1), `the seed that selects ${what}`, { placeholder: 'N', shownDefault: '1' })

function scenarioOf(name: string): Scenario {
  const found = scenarios.find((one) => one.name === name)
  if (found) return found
  throw new CommandError(`unknown scenario "${name}"; scenarios: ${scenarios.map((one) => one.name).join(', ')}`, 2)
}

export const chaosSuite = defineCommand({
  name: 'chaos suite',
  summary: 'replay real outages as scenarios, and check the guarantees',
  usage: '[SCENARIO…] [--seed N] [--list]',
  examples: [
    'zonemesh chaos suite --list',
    'zonemesh chaos suite --compose --html verdict.html',
    'zonemesh chaos suite herd poison-row --seed 7 --json verdict.json',
  ],
  arity: { min: 0, max: scenarios.length },
  options: {
    list: option(toggle.default(false), 'print every scenario with what happened, what it does and what must hold'),
    seed: seedOption('the places and times of the faults'),
    keep: option(toggle.default(false), 'with --compose: leave a fleet running that this command has started'),
    ...runOptions,
  },
  async run(values, context) {
    const { positionals, print, note, signal } = context
    const chosen = positionals.length > 0 ? [...new Set(positionals)].map(scenarioOf) : scenarios
    if (values.list) {
      for (const one of chosen) print(`${one.name}\n    ${one.happened}\n    ${one.does}\n    ${one.holds}\n`)
      return 0
    }
    const remove = values.compose === fleetProject ? await startFleet(note, signal) : undefined
    try {
      return await runScenarios(values, context, chosen)
    } finally {
      if (remove && values.keep)
        note('the fleet still runs; remove it: docker compose -f docker-compose.yml -f compose.chaos.yml down -v')
      else await remove?.()
    }
  },
})

async function runScenarios(
  values: RunValues & { readonly seed: number },
  context: Parameters<typeof runFaults>[1],
  chosen: readonly Scenario[],
) {
  const { faults, lacking } = planScenarios(chosen, await findStack(values), createDraw(values.seed))
  for (const { name, needs = '' } of lacking) context.note(`scenario ${name} is left out: this stack lacks ${needs}`)
  if (faults.length === 0) throw new CommandError('this stack has nothing that the scenarios can break', 2)
  return runFaults(values, context, faults, { seed: values.seed, scenarios: chosen })
}

export const chaosRandom = defineCommand({
  name: 'chaos random',
  summary: 'inject four to six faults drawn from a seed, and check the guarantees',
  usage: '[--seed N] [--minutes M]',
  examples: ['zonemesh chaos random --seed 1', 'zonemesh chaos random --seed 7 --minutes 3 --json verdict.json'],
  arity: { min: 0, max: 0 },
  options: {
    seed: seedOption('the faults and their order'),
    minutes: option(minutes.default(1.5), 'how long the whole run may take', {
      placeholder: 'M',
      shownDefault: '1.5',
    }),
    ...runOptions,
  },
  async run(values, context) {
    const stack = await findStack(values)
    const faults = drawFaults(values.seed, stack, stack.global.storeFile !== undefined, values.minutes * 60_000)
    return runFaults(values, context, faults, { seed: values.seed })
  },
})
