import { timesText } from '../answers.ts'
import type { Scenario } from '../scenarios/scenarios.ts'
import { type FaultReport, type GuaranteeReport, holds, isProved, type Verdict } from '../verdict.ts'
import { escaped, timelinePicture } from './picture.ts'
import { allowedLines, violationLines } from './verdict-lines.ts'

/** Words about a scenario, without how it is run. */
export type ScenarioText = Pick<Scenario, 'name' | 'happened' | 'does' | 'holds'>

/** The verdict as one HTML file. It has no script and loads nothing, so it opens from a disk. */
export function verdictPage(
  verdict: Verdict,
  scenarios: readonly ScenarioText[],
  properties: Readonly<Record<string, string | number>>,
): string {
  const { ok, startedAt, tookMs, counts, times, versions, guarantees } = verdict
  const startMs = verdict.faults[0]?.fromMs ?? 0
  const facts: readonly (readonly [string, string])[] = [
    ['begun', startedAt],
    ['took', `${Math.round(tookMs / 1_000)} s`],
    ...Object.entries(properties).map(([name, value]) => [name, String(value)] as const),
    ['requests', `${counts.requests}, ${counts.failures.length} failed`],
    ['changes', `${counts.committed} committed, ${counts.failed} failed`],
    ['during faults', timesText(times.during)],
    ['without a fault', timesText(times.outside)],
    ...Object.entries(versions).map(([of, version]) => [`version of ${of}`, version] as const),
  ]
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Zonemesh chaos: ${ok ? 'every guarantee held' : 'FAILED'}</title>
<style>${style}</style>
<main>
<h1 class="${ok ? 'passed' : 'failed'}">${ok ? '✔ Every guarantee held' : '✘ Failed'}</h1>
<dl>${facts.map(([name, value]) => `<div><dt>${escaped(name)}</dt><dd>${escaped(value)}</dd></div>`).join('')}</dl>
<h2>Time line</h2>
<figure>${timelinePicture(verdict)}</figure>
<h2>Guarantees</h2>
<table>${guarantees.map((one) => guaranteeRow(one, startMs)).join('\n')}</table>
<h2>${scenarios.length > 0 ? 'Scenarios' : 'Faults'}</h2>
${scenarios.map((one) => scenarioSection(one, verdict.faults)).join('\n')}
${faultList(verdict.faults.filter(({ scenario }) => scenario === undefined))}
</main>
</html>
`
}

const mark = (isGood: boolean): string => (isGood ? '<span class="passed">✔</span>' : '<span class="failed">✘</span>')

function guaranteeRow(report: GuaranteeReport, startMs: number): string {
  const { guarantee, what, observations, violations } = report
  const details = [...allowedLines(report, startMs), ...violationLines(report, startMs)]
  const more = details.map((text) => `<br><small>${escaped(text.trim())}</small>`).join('')
  const count = violations.length === 0 ? `${observations} observations` : `${violations.length} violations`
  return `<tr><td>${mark(holds(report))}<td>${guarantee}<td>${escaped(what)}${more}<td>${count}`
}

function scenarioSection({ name, happened, does, holds: must }: ScenarioText, faults: readonly FaultReport[]): string {
  const own = faults.filter(({ scenario }) => scenario === name)
  if (own.length === 0) return ''
  return `<section><h3>${mark(own.every(isProved))} ${escaped(name)}</h3>
<p>${escaped(`${happened} ${does} ${must}`)}</p>
${faultList(own)}</section>`
}

function faultList(faults: readonly FaultReport[]): string {
  if (faults.length === 0) return ''
  const items = faults.map((one) => {
    const { title, convergedMs, limitMs, evidence, misses, problems } = one
    const after =
      convergedMs === undefined
        ? 'did not converge'
        : `converged ${(convergedMs / 1_000).toFixed(1)} s after the fault ended (limit ${limitMs / 1_000} s)`
    const lines = [
      ...evidence.map((line) => `effect: ${line}`),
      ...misses.map((line) => `no effect: ${line}`),
      ...problems.map((line) => `problem: ${line}`),
    ]
    return `<li>${mark(isProved(one))} ${escaped(`${title}: ${after}`)}${lines.map((line) => `<br><small>${escaped(line)}</small>`).join('')}`
  })
  return `<ul>${items.join('\n')}</ul>`
}

const style = `
:root { color-scheme: light dark; --good: #1a7f37; --bad: #c62828; --ink: #1f2328; --dim: #656d76; --line: #0969da; --paper: #fff; --edge: #d0d7de; --shade: #bf870018 }
@media (prefers-color-scheme: dark) { :root { --good: #3fb950; --bad: #ff6b61; --ink: #e6edf3; --dim: #8d96a0; --line: #58a6ff; --paper: #0d1117; --edge: #30363d; --shade: #d2992222 } }
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif }
main { max-width: 1180px; margin: 0 auto; padding: 24px }
h1 { margin: 0 0 12px } h2 { margin: 32px 0 8px; font-size: 18px } h3 { margin: 20px 0 4px; font-size: 16px }
dl { display: flex; flex-wrap: wrap; gap: 6px 28px; margin: 0 } dt { color: var(--dim); font-size: 12px } dd { margin: 0 }
figure { margin: 0; overflow-x: auto } svg { min-width: 800px; width: 100% }
table { border-collapse: collapse; width: 100% } td { border-top: 1px solid var(--edge); padding: 5px 10px 5px 0; vertical-align: top } td:last-child { text-align: right; white-space: nowrap }
ul { list-style: none; padding: 0; margin: 6px 0 } li { padding: 3px 0 } p { margin: 0; max-width: 90ch } small { color: var(--dim) }
.passed { color: var(--good) } .failed { color: var(--bad) }
svg text { fill: var(--ink); font: 12px system-ui, sans-serif } svg .small { font-size: 10.5px; fill: var(--dim) } svg .label { text-anchor: end }
svg .line { fill: none; stroke: var(--line); stroke-width: 1.5 } svg .frame { fill: none; stroke: var(--edge) }
svg .fault { fill: #bf8700 } svg .shade { fill: var(--shade) } svg .away { fill: var(--dim); opacity: .35 }
svg .bad { fill: var(--bad) } svg .good { stroke: var(--good); stroke-width: 3 } svg .bad-line { stroke: var(--bad); stroke-width: 3; opacity: .4 }
`
