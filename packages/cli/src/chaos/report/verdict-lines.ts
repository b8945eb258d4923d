import { painted } from '../../output/colour.ts'
import { timesText } from '../answers.ts'
import { type FaultReport, type GuaranteeReport, holds, isProved, type Verdict } from '../verdict.ts'
import { sortsOf } from './sorts.ts'

/** The verdict as text: one line for each fault and each guarantee, with the evidence and one failure of each sort below it. */
export function verdictLines(verdict: Verdict): string[] {
  const startMs = verdict.faults[0]?.fromMs ?? 0
  const { requests, failures, committed, failed, lastFailure, routes, servedRoute } = verdict.counts
  const { during, outside } = verdict.times
  const allowed = verdict.guarantees.flatMap((one) => one.allowed).reduce((sum, { count }) => sum + count, 0)
  return [
    ...verdict.faults.flatMap((fault, index) => [
      ...scenarioLines(fault, verdict.faults[index - 1]),
      ...faultLines(fault),
    ]),
    ...verdict.guarantees.flatMap((report) => guaranteeLines(report, startMs)),
    `  traffic: ${requests} requests, ${failures.length} failed; changes: ${committed} committed, ${failed} failed${failed === 0 ? '' : `, the last of them: ${lastFailure}`}`,
    `  routes through the gateway: ${routes} committed, number ${servedRoute} served by its Envoy`,
    `  during the fault: ${during.requests} requests, ${during.failed} failed, ${timesText(during)}`,
    `  without a fault: ${outside.requests} requests, ${outside.failed} failed, ${timesText(outside)}`,
    verdict.ok
      ? painted(
          `verdict: every guarantee held${allowed === 0 ? '' : `, with ${allowed} failed requests that the fault allows`}`,
          'green',
        )
      : painted('verdict: FAILED', 'red'),
  ]
}

const headline = (isGood: boolean, text: string): string =>
  painted(`${isGood ? '✔' : '✘'} ${text}`, isGood ? 'green' : 'red')

/** The name of a scenario is above its first fault. */
const scenarioLines = ({ scenario }: FaultReport, before: FaultReport | undefined): string[] =>
  scenario === undefined || scenario === before?.scenario ? [] : [`scenario ${scenario}`]

function faultLines(report: FaultReport): string[] {
  const { title, evidence, misses, problems, convergedMs, limitMs } = report
  const after =
    convergedMs === undefined
      ? 'did not converge'
      : `converged ${(convergedMs / 1_000).toFixed(1)} s after the fault ended (limit ${limitMs / 1_000} s)`
  return [
    headline(isProved(report), `${title}: ${misses.length === 0 ? after : 'the fault had no effect'}`),
    ...evidence.map((line) => `    effect: ${line}`),
    ...misses.map((line) => `    no effect: ${line}`),
    ...problems.map((line) => `    problem: ${line}`),
  ]
}

function guaranteeLines(report: GuaranteeReport, startMs: number): string[] {
  const { guarantee, what, observations, violations } = report
  const count = violations.length === 0 ? `${observations} observations` : `${violations.length} violations`
  const missing = observations === 0 ? ', expected at least one' : ''
  return [
    headline(holds(report), `${guarantee.padEnd(4)}${what}: ${count}${missing}`),
    ...allowedLines(report, startMs),
    ...violationLines(report, startMs),
  ]
}

/** Failed requests that a fault allows are no violations, and the verdict states why. */
export const allowedLines = ({ allowed }: GuaranteeReport, startMs: number): string[] =>
  allowed.map(({ count, firstMs, lastMs, why }) => {
    const times = count === 0 ? '' : ` from ${since(startMs, firstMs)} to ${since(startMs, lastMs)}`
    return `    allowed: ${count} requests failed${times}: ${why}`
  })

const since = (startMs: number, atMs: number): string => `${((atMs - startMs) / 1_000).toFixed(2)} s`

/** One violation of each sort: the number of its sort, and the first time since the first fault. */
export const violationLines = ({ violations }: GuaranteeReport, startMs: number): string[] =>
  sortsOf(violations).map(({ count, first }) => {
    const at = `at ${since(startMs, first.atMs)}`
    return `    ${count === 1 ? at : `${count} times, first ${at}`}: ${first.reason}`
  })
