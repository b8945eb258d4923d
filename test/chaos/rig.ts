import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Fault } from '@zonemesh/cli/chaos/faults/faults.ts'
import { startChaosLines } from '@zonemesh/cli/chaos/lines.ts'
import { verdictLines } from '@zonemesh/cli/chaos/report/verdict-lines.ts'
import { runChaos } from '@zonemesh/cli/chaos/run.ts'
import { findStack, type Stack } from '@zonemesh/cli/chaos/stack.ts'
import type { Verdict } from '@zonemesh/cli/chaos/verdict.ts'
import { drawNames } from '@zonemesh/cli/demo/names.ts'
import { prove } from '@zonemesh/cli/demo/prove.ts'
import { type Demo, startDemo } from '@zonemesh/cli/demo/run.ts'
import { systemClock } from '@zonemesh/shared/env/clock.ts'
import { createSeededRandom } from '@zonemesh/shared/env/random.ts'
import { expect } from 'vitest'
import { root, temporaryFolder, zonemesh } from '../e2e/rig.ts'

/** The command lines of a documentation page, and which of them a test has run. */
export function readPage(page: string) {
  const blocks = readFileSync(join(root, page), 'utf8').matchAll(/```sh\n([\s\S]*?)```/g)
  const lines = new Set(
    [...blocks].flatMap(([, block = '']) => block.split('\n').filter((line) => line !== '' && !line.startsWith('#'))),
  )
  const typed = new Set<string>()
  return {
    /** A line of the page. Fails if the page does not contain it. */
    line(text: string): string {
      expect([...lines]).toContain(text)
      typed.add(text)
      return text
    },
    /** Runs the command of a line with the addresses of a scene. It must succeed without other output. */
    async type(text: string, ...args: readonly string[]): Promise<string> {
      this.line(text)
      const { code, stdout, stderr } = await zonemesh(...args)
      expect([text, code, stderr.replace(/^now start it.*\n/m, '')]).toEqual([text, 0, ''])
      return stdout
    },
    untyped: () => [...lines].filter((line) => !typed.has(line)),
  }
}

export interface Victim extends AsyncDisposable {
  readonly demo: Demo
  readonly stack: Stack
}

/** A working demo into which faults can be injected. */
export async function startVictim(seed: number): Promise<Victim> {
  const folder = temporaryFolder()
  const stop = new AbortController()
  const demo = await startDemo(drawNames(seed), folder.path, { done: () => {} }, stop.signal, startChaosLines)
  await prove(demo, { done: () => {} })
  return {
    demo,
    stack: await findStack({ stack: demo.stackFile, compose: undefined }),
    async [Symbol.asyncDispose]() {
      await demo.stop()
      stop.abort()
      folder[Symbol.dispose]()
    },
  }
}

const convergeMs = 15_000

/**
 * Injects faults into the demo and expects that all guarantees held, with at least one request per 20 ms and no failed
 * request.
 */
export async function expectHeld({ stack }: Victim, faults: readonly Fault[]): Promise<Verdict> {
  const deps = { clock: systemClock, random: createSeededRandom(1), report: () => undefined, warn: () => undefined }
  const verdict = await runChaos(deps, stack, faults, { perSecond: 50, convergeMs }, new AbortController().signal)
  expect(verdict.ok, verdictLines(verdict).join('\n')).toBe(true)
  expect(verdict.counts.failures).toEqual([])
  return verdict
}

/** The time after each fault until every zone had converged. */
export const convergedMs = (verdict: Verdict): number[] => verdict.faults.map((one) => one.convergedMs ?? Number.NaN)

/** A fault with an additional check, which returns what is wrong. */
export const also = (fault: Fault, check: (...given: Parameters<Fault['prove']>) => readonly string[]): Fault => ({
  ...fault,
  prove(...given) {
    const proof = fault.prove(...given)
    return { ...proof, misses: [...proof.misses, ...check(...given)] }
  },
})
