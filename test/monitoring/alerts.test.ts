import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { z } from 'zod'
import { metricsIn, undeclaredIn } from './names.ts'
import { promtool } from './promtool.ts'

const fileOf = (path: string): string => new URL(`../../${path}`, import.meta.url).pathname
const textOf = (path: string): string => readFileSync(fileOf(path), 'utf8')

const rule = z.strictObject({
  alert: z.string(),
  expr: z.string(),
  for: z.string().exactOptional(),
  labels: z.strictObject({ severity: z.enum(['critical', 'warning']) }),
  annotations: z.strictObject({ summary: z.string(), description: z.string(), runbook: z.string() }),
})
const rulesFile = z.strictObject({
  groups: z.array(z.strictObject({ name: z.string(), rules: z.array(rule) })),
})
const casesFile = z.object({
  tests: z.array(
    z.object({
      input_series: z.array(z.object({ series: z.string() })),
      alert_rule_test: z.array(z.object({ alertname: z.string(), exp_alerts: z.array(z.unknown()) })),
    }),
  ),
})

const rules = rulesFile.parse(parse(textOf('monitoring/alerts.yml'))).groups.flatMap((group) => group.rules)
const cases = casesFile.parse(parse(textOf('monitoring/alerts.test.yml'))).tests
const namesOf = (wrong: (one: z.infer<typeof rule>) => boolean): readonly string[] =>
  rules.filter(wrong).map(({ alert }) => alert)

test('MT17 promtool accepts the rules of the alerts, and their cases pass', () => {
  expect(promtool(['check', 'rules', '--lint=all', '--lint-fatal', fileOf('monitoring/alerts.yml')])).toMatchObject({
    code: 0,
    output: expect.stringContaining(`SUCCESS: ${rules.length} rules found`),
  })
  const tested = promtool(['test', 'rules', fileOf('monitoring/alerts.test.yml')])
  expect(tested.output).toMatch(/SUCCESS$/)
  expect(tested.code).toBe(0)
}, 120_000)

test('MT17 each alert fires in one case and is silent in another one, with all series that it reads', () => {
  const casesOf = (alert: string, fires: boolean) =>
    cases.filter(({ alert_rule_test: checks }) =>
      checks.some(({ alertname, exp_alerts: expected }) => alertname === alert && expected.length > 0 === fires),
    )
  expect(namesOf(({ alert }) => casesOf(alert, true).length === 0)).toEqual([])
  expect(namesOf(({ alert }) => casesOf(alert, false).length === 0)).toEqual([])
  const vacuous = namesOf(({ alert, expr }) =>
    casesOf(alert, false).some(({ input_series: input }) => {
      const given = new Set(input.flatMap(({ series }) => metricsIn(series)))
      return metricsIn(expr).some((name) => !given.has(name))
    }),
  )
  expect(vacuous).toEqual([])
  const unknown = cases.flatMap(({ alert_rule_test: checks }) => checks.map(({ alertname }) => alertname))
  expect(unknown.filter((name) => !rules.some(({ alert }) => alert === name))).toEqual([])
  expect(rules.length).toBeGreaterThan(20)
})

test('MT18 each alert names what happened and what to do, and leads to its section in docs/alerts.md', () => {
  const sections = [...textOf('docs/alerts.md').matchAll(/^### (\w+)\n\n(Critical|Warning)\. /gm)]
  const bySection = new Map(sections.map(([, name = '', severity = '']) => [name, severity.toLowerCase()]))
  expect([...bySection.keys()]).toEqual(rules.map(({ alert }) => alert))
  expect(namesOf(({ alert, labels }) => bySection.get(alert) !== labels.severity)).toEqual([])
  const runbookOf = (alert: string) => `docs/alerts.md#${alert.toLowerCase()}`
  expect(namesOf(({ alert, annotations }) => annotations.runbook !== runbookOf(alert))).toEqual([])
  expect(namesOf(({ annotations }) => /\.$/.test(annotations.summary) || annotations.summary.length > 100)).toEqual([])
  expect(namesOf(({ annotations }) => !/^[A-Z].*\.$/s.test(annotations.description))).toEqual([])
})

test('MT19 alerts read only declared metrics and labels', () => {
  expect(rules.flatMap(({ alert, expr }) => undeclaredIn(expr).map((name) => `${alert}: ${name}`))).toEqual([])
  expect(namesOf(({ expr }) => metricsIn(expr).length === 0)).toEqual(['ZonemeshPlaneDown'])
})

test('MT19 an expression with an unknown metric or label is found', () => {
  expect(undeclaredIn('sum by (zone) (zonemesh_zone_lag_seconds{zone="a"}) > 1')).toEqual([])
  expect(undeclaredIn('zonemesh_zone_lag > 1')).toEqual(['zonemesh_zone_lag'])
  expect(undeclaredIn('sum by (proxy, le) (zonemesh_compile_duration_seconds_bucket{zone="a"})')).toEqual([
    'zone',
    'proxy',
  ])
  expect(undeclaredIn('zonemesh_proxies_connected_count')).toEqual(['zonemesh_proxies_connected_count'])
})
