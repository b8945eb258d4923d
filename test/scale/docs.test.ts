import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { expect, it } from 'vitest'
import { rowsColumns, zonesColumns } from '../bench/scale/scale-table.ts'
import { constants } from './costs.ts'
import { costsCells, costsColumns, scaleColumns, scaleOutput } from './report.ts'

const root = resolve(import.meta.dirname, '../..')
const file = join(root, 'docs/scale.md')
const page = readFileSync(file, 'utf8')

/** The tables of the page, each as rows of cells without markup. The first row has the titles. */
const tables = [...page.matchAll(/(?:^\|.*\|\n)+/gm)].map(([text]) =>
  text
    .trim()
    .split('\n')
    .filter((line) => !/^\|[-|: ]+\|$/.test(line))
    .map((line) =>
      line
        .slice(1, -1)
        .split('|')
        .map((cell) => cell.trim().replaceAll('`', '')),
    ),
)
const tableWith = (title: string) => tables.find(([titles]) => titles?.[0] === title) ?? []

it('SM9 the measured tables of docs/scale.md have the columns of the bench, and its sizes', () => {
  for (const columns of [zonesColumns, rowsColumns]) {
    const [titles, ...rows] = tableWith(columns[0])
    expect(titles).toEqual([...columns])
    expect(rows.length).toBe(3)
    expect(rows.flat().filter((cell) => !/^[\d.]+$/.test(cell))).toEqual([])
  }
})

it('SM9 docs/scale.md lists each constant of the model with its value and its source', () => {
  expect(tableWith('CONSTANT')).toEqual([[...costsColumns], ...costsCells()])
})

/** Slope and value at 0 of the straight line that is nearest to the points. */
function lineNear(points: readonly (readonly [number, number])[]) {
  const mean = (of: (point: readonly [number, number]) => number) =>
    points.reduce((sum, point) => sum + of(point), 0) / points.length
  const [x, y] = [mean(([value]) => value), mean(([, value]) => value)]
  const slope = mean(([a, b]) => (a - x) * (b - y)) / mean(([a]) => (a - x) ** 2)
  return { slope, atZero: y - slope * x }
}

it('SM9 the measured constants follow from the tables of docs/scale.md', () => {
  const column = (title: string, first: string) => {
    const [titles = [], ...rows] = tableWith(first)
    const at = titles.indexOf(title)
    return rows.map((row) => [Number(row[0]), Number(row[at])] as const)
  }
  const zones = (title: string) => column(title, 'ZONES')
  const rows = (title: string) => column(title, 'ROWS')
  const firstOf = (points: readonly (readonly [number, number])[]) => points[0] ?? [Number.NaN, Number.NaN]
  const policy = lineNear(zones('POLICY CPU ms')).slope
  const dataplane = lineNear(zones('DATAPLANE CPU ms')).slope
  const frameMs = (policy - dataplane - constants.rowSentMs.value) / 4
  const [few, policyFew] = firstOf(zones('POLICY CPU ms'))
  const [, dataplaneFew] = firstOf(zones('DATAPLANE CPU ms'))
  // The zones of a row connect while those of the rows above it, and half of its own, are connected.
  const connects = zones('CONNECT CPU ms/zone').map(
    ([count, value], index, all) => [(count + (all[index - 1]?.[0] ?? 0)) / 2, value] as const,
  )
  const connect = lineNear(connects.slice(1))
  const found = {
    frameMs,
    wakeMs: dataplane - 2 * frameMs,
    policyMs: policyFew - few * policy,
    commitMs: dataplaneFew - few * dataplane,
    rowStoredMs: (rows('UP CPU µs/row').at(-1)?.[1] ?? 0) / 1_000,
    connectMs: connect.atZero,
    connectOtherMs: connect.slope,
    snapshotRowMs: lineNear(rows('SNAPSHOT CPU ms')).slope,
    baseMiB: lineNear(zones('HEAP MiB')).atZero,
    zoneKiB: lineNear(zones('HEAP MiB')).slope * 1024,
    // So many Dataplanes and as many announcements.
    rowBytes: (lineNear(rows('HEAP MiB')).slope * 1024 * 1024) / 2,
  }
  const measured = Object.entries(constants).filter(([, { source }]) => source.startsWith('measured'))
  expect(Object.keys(found).sort()).toEqual(measured.map(([name]) => name).sort())
  for (const [name, value] of Object.entries(found)) {
    const constant = measured.find(([known]) => known === name)?.[1].value ?? Number.NaN
    expect([name, Math.abs(constant - value) <= 0.05 * value, value]).toEqual([name, true, value])
  }
})

it('SM9 the simulator prints what docs/scale.md shows', { timeout: 240_000 }, () => {
  const blocks = [...page.matchAll(/```sh\nnpm run scale -- (.*)\n```\n\n```text\n([\s\S]*?)```/g)]
  expect(blocks.length).toBeGreaterThanOrEqual(3)
  let updated = page
  for (const [block, command = ''] of blocks) {
    const { lines, error } = scaleOutput(command.split(' '))
    expect(error).toBeUndefined()
    expect(lines[0]?.split(/ {2,}/)).toEqual([...scaleColumns])
    const sent = `npm run scale -- ${command}`
    updated = updated.replace(block, `\`\`\`sh\n${sent}\n\`\`\`\n\n\`\`\`text\n${lines.join('\n')}\n\`\`\``)
  }
  // As in the guides: the outputs are written into the page, and the difference is read.
  if (process.env['UPDATE_PAGES'] !== undefined) writeFileSync(file, updated)
  else expect(updated).toBe(page)
})

it('SM9 every command of docs/scale.md exists, and a wrong option ends it with one sentence and exit code 2', () => {
  const commands = [...page.matchAll(/npm run (scale|bench)((?: -- [^`\n]*)?)/g)].map(
    ([, name, rest = '']) => `${name}${rest}`,
  )
  const known = ['scale', 'bench -- scale', 'bench -- scale --short', 'scale -- --costs']
  expect(commands.filter((one) => !known.includes(one) && !one.startsWith('scale -- --zones '))).toEqual([])
  const ran = spawnSync(process.execPath, ['bin/zonemesh', '--tool', 'scale', '--zones', 'x'], { cwd: root })
  const error = 'scale: --zones: expected a whole number from 1 to 10000, found "x"\n'
  expect([ran.status, ran.stdout.toString(), ran.stderr.toString()]).toEqual([2, '', error])
})
