import { type FaultReport, type GuaranteeReport, holds, isProved, type Verdict } from '../verdict.ts'
import { allowedLines, violationLines } from './verdict-lines.ts'

interface Case {
  readonly group: 'fault' | 'guarantee'
  readonly name: string
  readonly ms: number
  /** Why the case failed, one reason per line. Empty if it passed. */
  readonly reasons: readonly string[]
  /** What the run observed, such as the effect of a fault. */
  readonly output: readonly string[]
}

/**
 * The verdict of a run as JUnit XML: one test suite with a test case for each fault and each guarantee. All guarantees
 * are judged over the whole run, so their time is 0.
 */
export function junitXml(verdict: Verdict, properties: Readonly<Record<string, string | number>>): string {
  const startMs = verdict.faults[0]?.fromMs ?? 0
  const cases = [...verdict.faults.map(faultCase), ...verdict.guarantees.map((one) => guaranteeCase(one, startMs))]
  const versions = Object.entries(verdict.versions).map(([of, version]) => [`version.${of}`, version] as const)
  return suiteXml(verdict, cases, [...Object.entries(properties), ...versions])
}

const faultCase = (report: FaultReport): Case => ({
  group: 'fault',
  name: report.title,
  output: report.evidence.map((line) => `effect: ${line}`),
  ms: report.healedAtMs - report.fromMs + (report.convergedMs ?? 0),
  reasons: isProved(report)
    ? []
    : [...report.misses.map((line) => `no effect: ${line}`), ...report.problems.map((line) => `problem: ${line}`)],
})

function guaranteeCase(report: GuaranteeReport, startMs: number): Case {
  const { guarantee, what, observations } = report
  const none = observations === 0 ? ['no observations, expected at least one'] : []
  const violations = violationLines(report, startMs).map((line) => line.trim())
  const reasons = holds(report) ? [] : [...none, ...violations]
  return {
    group: 'guarantee',
    name: `${guarantee} ${what}`,
    ms: 0,
    reasons,
    output: [`${observations} observations`, ...allowedLines(report, startMs).map((line) => line.trim())],
  }
}

function suiteXml(
  { tookMs, startedAt }: Verdict,
  cases: readonly Case[],
  properties: readonly (readonly [string, string | number])[],
): string {
  const counts = {
    tests: cases.length,
    failures: cases.filter(({ reasons }) => reasons.length > 0).length,
    errors: 0,
    skipped: 0,
    time: seconds(tookMs),
  }
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites${attributes({ name: 'zonemesh chaos', ...counts })}>`,
    `  <testsuite${attributes({ name: 'zonemesh chaos', ...counts, timestamp: startedAt.replace(/\.\d+Z$/, '') })}>`,
    '    <properties>',
    ...properties.map(([name, value]) => `      <property${attributes({ name, value })}/>`),
    '    </properties>',
    ...cases.flatMap(caseLines),
    '  </testsuite>',
    '</testsuites>',
    '',
  ].join('\n')
}

function caseLines({ group, name, ms, reasons, output }: Case): readonly string[] {
  const [message] = reasons
  const inner = [
    ...(message === undefined
      ? []
      : [`      <failure${attributes({ message, type: group })}>${escaped(reasons.join('\n'))}</failure>`]),
    ...(output.length === 0 ? [] : [`      <system-out>${escaped(output.join('\n'))}</system-out>`]),
  ]
  const opening = `    <testcase${attributes({ name, classname: `zonemesh.chaos.${group}`, time: seconds(ms) })}`
  return inner.length === 0 ? [`${opening}/>`] : [`${opening}>`, ...inner, '    </testcase>']
}

const seconds = (ms: number): string => (ms / 1_000).toFixed(3)

const attributes = (values: Readonly<Record<string, string | number>>): string =>
  Object.entries(values)
    .map(
      ([name, value]) => ` ${name}="${escaped(String(value)).replace(/[\n\t]/g, (one) => `&#${one.charCodeAt(0)};`)}"`,
    )
    .join('')

/** Characters that XML 1.0 does not allow, not even as references. A carriage return would be read as a line feed. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: the expression finds control characters
const notXml = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\ufffe\uffff]|\p{Surrogate}/gu

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&apos;',
}

/** Text of XML. Reasons come from other machines and may have any character. */
function escaped(text: string): string {
  const shown = text.replace(notXml, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`)
  return shown.replace(/[&<>"']/g, (one) => entities[one] ?? one)
}
