import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { promisify } from 'node:util'
import type { Fault } from '@zonemesh/cli/chaos/faults/faults.ts'
import { killTarget, pauseTarget } from '@zonemesh/cli/chaos/faults/target-faults.ts'
import { verdictLines } from '@zonemesh/cli/chaos/report/verdict-lines.ts'
import { runChaos } from '@zonemesh/cli/chaos/run.ts'
import type { Target } from '@zonemesh/cli/chaos/targets.ts'
import type { Verdict } from '@zonemesh/cli/chaos/verdict.ts'
import { systemClock } from '@zonemesh/shared/env/clock.ts'
import { createSeededRandom } from '@zonemesh/shared/env/random.ts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { root, temporaryFolder, zonemesh } from '../e2e/rig.ts'
import { readPage, startVictim, type Victim } from './rig.ts'

// Faults of proxies and services, on one demo.
let victim: Victim
let folder: ReturnType<typeof temporaryFolder>
const page = readPage('docs/chaos.md')
beforeAll(async () => {
  folder = temporaryFolder()
  victim = await startVictim(303)
})
afterAll(async () => {
  await victim[Symbol.asyncDispose]()
  folder[Symbol.dispose]()
})

function targetOf(name: string): Target {
  const found = victim.stack.scene.targets.find((one) => one.name === name)
  if (!found) throw new Error(`no target ${name}`)
  return found
}

function inject(fault: Fault, stack = victim.stack): Promise<Verdict> {
  const deps = { clock: systemClock, random: createSeededRandom(1), report: () => undefined, warn: () => undefined }
  const options = { perSecond: 50, convergeMs: 15_000 }
  return runChaos(deps, stack, [fault], options, new AbortController().signal)
}

const guarantee = (verdict: Verdict, name: string) => verdict.guarantees.find((one) => one.guarantee === name)

test.each([
  { fault: () => killTarget(targetOf('gateway-1'), 2_000), effect: /zone east reported gateway-1 after .* as suspect/ },
  { fault: () => killTarget(targetOf('ingress-west'), 2_000), effect: /process of ingress-west: \d+ → \d+/ },
  { fault: () => killTarget(targetOf('echo-1'), 2_000), effect: /no request to \/chaos-west-.*-1 was answered/ },
  { fault: () => killTarget(targetOf('echo-2-service'), 2_000), effect: /refused connections: connect ECONNREFUSED/ },
  {
    fault: () => pauseTarget(targetOf('ingress-west'), 2_000),
    effect: /no request to .* while ingress-west was stopped/,
  },
  { fault: () => pauseTarget(targetOf('client-1-service'), 4_000), effect: /no request to \/chaos-east was answered/ },
])(
  'B35 kill and pause stop a proxy or a service with proof, and only requests that pass it fail: $effect',
  async ({ fault, effect }) => {
    const verdict = await inject(fault())
    expect(verdict.ok, verdictLines(verdict).join('\n')).toBe(true)
    expect(verdict.faults[0]?.evidence.join('\n')).toMatch(effect)
    expect(guarantee(verdict, 'G10')?.allowed[0]?.why).toContain('until 2.0 s after its return')
    // After the run everything is as before, so that the next fault begins with a working demo.
    expect((await zonemesh('status', '--address', victim.demo.globalAddress)).code).toBe(0)
  },
)

test('B36 a failure of a request that need not pass the target violates G10, and a target that requests do not pass is no proof', async () => {
  const wrong: Target = {
    ...targetOf('ingress-west'),
    kind: 'sidecar',
    service: targetOf('client-1').service,
    zone: 'west',
  }
  const unexcused = await inject(killTarget(wrong, 1_500))
  expect(guarantee(unexcused, 'G10')?.violations.length).toBeGreaterThan(0)
  // No request passes ingress-east, but this stack file states that it is the sidecar of the service of east.
  const { stack } = victim
  const absent: Target = { ...targetOf('ingress-east'), kind: 'sidecar', service: targetOf('client-1').service }
  const targets = [targetOf('gateway-1'), absent]
  const { faults } = await inject(killTarget(absent, 1_500), { ...stack, scene: { ...stack.scene, targets } })
  expect(faults[0]?.misses.join()).toMatch(
    /requests to \/chaos-east were answered while ingress-east was stopped, expected none/,
  )
})

test('B31 B33 the commands of docs/chaos.md count down in a pipe and on a terminal, and write JUnit', async () => {
  const stack = ['--stack', victim.demo.stackFile ?? '']
  const file = `${folder.path}/chaos.xml`
  const words = page.line(
    'bin/zonemesh chaos kill gateway-1 --junit chaos.xml      # for a CI that shows JUnit reports',
  )
  expect(words).toContain('gateway-1')
  const piped = await zonemesh('chaos', 'kill', 'gateway-1', '--for', '2s', '--junit', file, ...stack)
  expect([piped.code, piped.stdout + piped.stderr]).toEqual([0, expect.not.stringContaining('\u001b')])
  expect(piped.stderr).toMatch(/^kill gateway-1: 2 s left; 0 failed, \d+ requests\/s, p50 [\d.]+ ms, p99 [\d.]+ ms$/m)
  expect(readFileSync(file, 'utf8')).toMatch(
    /<testcase name="kill gateway-1 for 2.0 s" classname="zonemesh.chaos.fault"/,
  )
  const command = `${root}/bin/zonemesh chaos pause zone-west --for 2s ${stack.join(' ')}`
  const env = { ...process.env, TERM: 'xterm', NO_COLOR: '' }
  const { stdout } = await promisify(execFile)('script', ['--quiet', '--return', '--command', command, '/dev/null'], {
    env,
  })
  expect(stdout.replaceAll('\u001b', '<esc>')).toMatch(
    /pause zone-west: 1 s left; 0 failed, [^\n]*\r<esc>\[K[^\n]*<esc>\[32m✔ pause zone-west/,
  )
})
