import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Declaration, declarations } from '@zonemesh/plane/metrics/declarations.ts'
import { expect, test } from 'vitest'
import { stringify } from 'yaml'
import { z } from 'zod'
import { metricsIn, undeclaredIn } from './names.ts'
import { promtool } from './promtool.ts'

/** The data source that the reader has chosen. */
const source = z.object({ type: z.literal('prometheus'), uid: z.string().regex(/^\$\{datasource\}$/) })
const place = z.object({ h: z.int(), w: z.int(), x: z.int(), y: z.int() })
const row = z.object({ type: z.literal('row'), id: z.int(), title: z.string().min(1), gridPos: place })
const panel = z.object({
  type: z.enum(['timeseries', 'stat', 'heatmap']),
  id: z.int(),
  title: z.string().min(1),
  description: z.string().regex(/^[A-Z0-9].*\.$/),
  datasource: source,
  gridPos: place,
  fieldConfig: z.object({ defaults: z.object({ unit: z.string().min(1) }) }),
  targets: z.array(z.object({ refId: z.string(), datasource: source, expr: z.string().min(1) })).min(1),
})
const dashboard = z.object({
  title: z.string(),
  uid: z.literal('zonemesh'),
  schemaVersion: z.int(),
  templating: z.object({ list: z.array(z.object({ name: z.string(), type: z.string() })) }),
  panels: z.array(z.discriminatedUnion('type', [row, panel])),
})

const file = new URL('../../monitoring/dashboard.json', import.meta.url)
const { panels, templating } = dashboard.parse(JSON.parse(readFileSync(file, 'utf8')))
const targets = panels.flatMap((one) =>
  one.type === 'row' ? [] : one.targets.map(({ expr }) => ({ expr, in: one.title })),
)

test('MT20 the dashboard has its rows, and each panel has a title, a unit, a description and the chosen data source', () => {
  expect(panels.filter(({ type }) => type === 'row').map(({ title }) => title)).toEqual([
    ...['Fleet', 'Zones', 'Latency', 'Store', 'Replicas', 'xDS', 'Names and certificates', 'Process'],
  ])
  expect(templating.list[0]).toMatchObject({ name: 'datasource', type: 'datasource' })
  expect(templating.list.map(({ name }) => name)).toEqual(['datasource', 'zone', 'instance'])
  const ids = panels.map(({ id }) => id)
  expect(new Set(ids).size).toBe(ids.length)
  expect(panels.length).toBeGreaterThan(30)
})

test('MT20 panels do not overlap and stay within the width of the dashboard', () => {
  const cells = new Map<string, string>()
  for (const { title, gridPos } of panels) {
    expect(gridPos.x + gridPos.w, title).toBeLessThanOrEqual(24)
    for (let x = gridPos.x; x < gridPos.x + gridPos.w; x += 1) {
      for (let y = gridPos.y; y < gridPos.y + gridPos.h; y += 1) {
        expect(cells.get(`${x},${y}`), title).toBeUndefined()
        cells.set(`${x},${y}`, title)
      }
    }
  }
})

test('MT19 the dashboard reads only declared metrics and labels, and shows every metric of ours', () => {
  expect(targets.flatMap(({ expr, in: title }) => undeclaredIn(expr).map((name) => `${title}: ${name}`))).toEqual([])
  const shown = new Set(targets.flatMap(({ expr }) => metricsIn(expr)))
  const ours = Object.entries<Declaration>(declarations).filter(([name]) => name.startsWith('zonemesh_'))
  const isOfZone = (name: string): boolean => name.startsWith('zonemesh_uplink_')
  // The view of a zone on its session repeats that of the global, and alerts read it when there is no global.
  const hidden = ours.filter(([name]) => !shown.has(name) && !isOfZone(name)).map(([name]) => name)
  expect(hidden).toEqual([
    'zonemesh_store_durable',
    'zonemesh_expiring',
    'zonemesh_zones_connected',
    'zonemesh_zone_sessions_total',
  ])
})

test('MT20 Prometheus parses each expression of the dashboard', () => {
  const folder = mkdtempSync(join(tmpdir(), 'dashboard-'))
  try {
    const rules = targets.map(({ expr }, index) => ({
      record: `panel:${index}`,
      expr: expr.replaceAll('$__rate_interval', '5m').replaceAll(/\$(zone|instance)/g, '.*'),
    }))
    const path = join(folder, 'rules.yml')
    writeFileSync(path, stringify({ groups: [{ name: 'dashboard', rules }] }))
    expect(promtool(['check', 'rules', path])).toMatchObject({
      code: 0,
      output: expect.stringContaining(`SUCCESS: ${targets.length} rules found`),
    })
    expect(targets.filter(({ expr }) => /\brate\(/.test(expr) && !expr.includes('$__rate_interval'))).toEqual([])
  } finally {
    rmSync(folder, { recursive: true })
  }
})
