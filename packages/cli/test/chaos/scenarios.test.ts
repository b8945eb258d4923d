import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { createDraw } from '../../src/chaos/scenarios/draw.ts'
import { planScenarios, scenarios } from '../../src/chaos/scenarios/scenarios.ts'
import { fleetStack } from '../../src/fleet/stack.ts'

const fleet = fleetStack({ user: '', relay: '' })
const small = { zones: { east: { api: '', dns: '' }, west: { api: '', dns: '' } }, parts: [] }
const seeds = Array.from({ length: 50 }, (_, index) => index + 1)
const titles = (seed: number, stack: Parameters<typeof planScenarios>[1] = fleet) =>
  planScenarios(scenarios, stack, createDraw(seed)).faults.map(({ scenario, title }) => `${scenario}: ${title}`)

test('B96 each of the ten scenarios names its outage with its date, states what it does and what must hold, and breaks something in the fleet', () => {
  expect(new Set(scenarios.map(({ name }) => name)).size).toBe(10)
  for (const { name, happened, does, holds } of scenarios) {
    expect({ name, happened }).toEqual({
      name,
      happened: expect.stringMatching(/^[A-Z][^:]*(20\d\d|issue \d+): .*\.$/),
    })
    expect({ name, does }).toEqual({ name, does: expect.stringMatching(/^It .*\.$/) })
    expect({ name, holds }).toEqual({ name, holds: expect.stringMatching(/^[A-Z].*\.$/) })
  }
  const { faults, lacking } = planScenarios(scenarios, fleet, createDraw(1))
  expect(lacking).toEqual([])
  expect([...new Set(faults.map(({ scenario }) => scenario))]).toEqual(scenarios.map(({ name }) => name))
})

test('B96 the same seed draws the same faults, and other seeds draw other places and times', () => {
  for (const seed of seeds) expect(titles(seed)).toEqual(titles(seed))
  expect(new Set(seeds.map((seed) => titles(seed).join('\n'))).size).toBe(seeds.length)
  // Over many seeds, each zone and each replica is a victim.
  const all = seeds.flatMap((seed) => titles(seed)).join('\n')
  const victims = [...Object.keys(fleet.zones), 'global-1', 'global-2', 'zone-west-1', 'zone-west-2']
  expect(victims.filter((name) => !new RegExp(`\\b${name}\\b`).test(all))).toEqual([])
})

test('B96 a stack of processes has the scenarios that need no containers, and the others are named with what the stack lacks', () => {
  const { faults, lacking } = planScenarios(scenarios, small, createDraw(1))
  expect(lacking.map(({ name, needs }) => [name, needs])).toEqual([
    ['stale-worker', 'several globals and several replicas of a zone'],
    ['shared-fate', 'a database'],
    ['stalled-notify', 'Redis'],
    ['lost-primary', 'a database'],
  ])
  expect(new Set(faults.map(({ scenario }) => scenario)).size).toBe(6)
})

test('B96 docs/chaos.md describes each scenario in the words of the command', () => {
  const page = readFileSync(new URL('../../../../docs/chaos.md', import.meta.url), 'utf8')
  const section = page.slice(page.indexOf('## Scenarios'), page.indexOf('## Verdict'))
  for (const { name, happened, does, holds } of scenarios)
    expect(section).toContain(`### ${name}\n\n${happened}\n${does}\n${holds}\n`)
})
