import { type Declaration, declarations } from '@zonemesh/plane/metrics/declarations.ts'
import { createMetrics } from '@zonemesh/plane/metrics/metrics.ts'
import { expect, test } from 'vitest'

const all: readonly (readonly [string, Declaration])[] = Object.entries(declarations)
const namesOf = (wrong: (name: string, declaration: Declaration) => boolean): readonly string[] =>
  all.filter(([name, declaration]) => wrong(name, declaration)).map(([name]) => name)

/** The labels whose values are bounded by the software or by what operators have created. */
const boundedLabels = [
  ...['form', 'kind', 'method', 'operation', 'plane', 'rcode', 'result', 'role', 'route'],
  ...['status', 'type', 'version', 'what', 'zone'],
]
/** Amounts without a unit. */
const counted = [
  ...['ahead', 'blocked', 'connected', 'current', 'durable', 'enabled', 'expiring', 'fault', 'held', 'info', 'leader'],
  ...['proxies', 'quarantined', 'refused', 'revision', 'revisions', 'rows', 'silent', 'standby', 'zones'],
]

test('MT1 each metric has a help text without a final period, and a name that ends with its unit', () => {
  expect(all.length).toBeGreaterThan(50)
  expect(namesOf((_, { help }) => !/^[A-Z0-9].{10,}[^.\s]$/.test(help))).toEqual([])
  expect(namesOf((name) => !/^(zonemesh|nodejs|process)(_[a-z]+)+$/.test(name))).toEqual([])
  expect(namesOf((name, { type }) => (type === 'counter') !== name.endsWith('_total'))).toEqual([])
  expect(namesOf((name, { type }) => type === 'histogram' && !name.endsWith('_seconds'))).toEqual([])
  const units = new RegExp(`_(seconds|bytes|${counted.join('|')})$`)
  expect(namesOf((name, { type }) => type === 'gauge' && !units.test(name))).toEqual([])
  expect(namesOf((_, { roles }) => roles.length === 0)).toEqual([])
})

test('MT1 labels are of a known list, and a metric of zones has no other label', () => {
  expect(namesOf((_, { labels }) => labels.some((label) => !boundedLabels.includes(label)))).toEqual([])
  expect(namesOf((_, { labels }) => labels.includes('zone') && labels.length > 1)).toEqual([])
})

test('MT1 buckets ascend, and those of delays reach from half a millisecond to ten seconds', () => {
  const histograms = all.filter(([, { type }]) => type === 'histogram')
  const buckets = histograms.map(([, { buckets = [] }]) => buckets)
  expect(buckets.filter((bounds) => bounds.some((bound, at) => at > 0 && bound <= (bounds[at - 1] ?? 0)))).toEqual([])
  const delays = histograms.filter(([name]) => /_to_|api|store|compile/.test(name))
  expect(delays.length).toBeGreaterThan(4)
  for (const [name, { buckets = [] }] of delays) expect([buckets[0], buckets.at(-1)], name).toEqual([0.0005, 10])
})

test.each(['global', 'zone', 'standalone'] as const)('MT4 a plane has the metrics of its role: %s', async (role) => {
  const metrics = createMetrics(role)
  const text = await metrics.text()
  const found = [...text.matchAll(/^# HELP (\S+) (.*)$/gm)].map(([, name = '', help]) => [name, help])
  const own = all.filter(([, { roles }]) => roles.includes(role))
  expect(found).toEqual(own.map(([name, { help }]) => [name, help]))
  expect(metrics.contentType).toMatch(/^text\/plain; version=0\.0\.4/)
})

test('MT4 planes in one process share no metrics, and a metric of another role is an error', async () => {
  const [east, west] = [createMetrics('zone'), createMetrics('zone')]
  east.count('zonemesh_uplink_holds_total', {})
  east.onScrape(() => east.set('zonemesh_proxies_connected', {}, 3))
  expect(await east.text()).toMatch(/^zonemesh_uplink_holds_total 1$/m)
  expect(await east.text()).toMatch(/^zonemesh_proxies_connected 3$/m)
  expect(await west.text()).toMatch(/^zonemesh_uplink_holds_total 0$/m)
  expect(await west.text()).toMatch(/^zonemesh_proxies_connected 0$/m)
  expect(() => createMetrics('standalone').count('zonemesh_uplink_holds_total', {})).toThrow(
    'the standalone plane has no metric zonemesh_uplink_holds_total',
  )
})

test('MT4 a total replaces a total, and a duration in milliseconds is shown in seconds', async () => {
  const metrics = createMetrics('zone')
  metrics.total('zonemesh_units_compiled_total', {}, 7)
  metrics.total('zonemesh_units_compiled_total', {}, 9)
  metrics.observe('zonemesh_compile_duration_seconds', {}, 20)
  const text = await metrics.text()
  expect(text).toMatch(/^zonemesh_units_compiled_total 9$/m)
  expect(text).toMatch(/^zonemesh_compile_duration_seconds_sum 0.02$/m)
  expect(text).toMatch(/^zonemesh_compile_duration_seconds_bucket\{le="0.01"\} 0$/m)
  expect(text).toMatch(/^zonemesh_compile_duration_seconds_bucket\{le="0.025"\} 1$/m)
})

test('MT8 all series of a zone are removed together, and those of other zones stay', async () => {
  const metrics = createMetrics('global')
  for (const zone of ['east', 'west']) {
    metrics.count('zonemesh_zone_holds_total', { zone })
    metrics.set('zonemesh_zone_connected', { zone }, 1)
    metrics.observe('zonemesh_commit_to_served_seconds', { zone }, 3)
  }
  metrics.forgetZone('east')
  const text = await metrics.text()
  expect(text).not.toContain('"east"')
  expect(text.match(/"west"/g)?.length).toBeGreaterThan(15)
})
