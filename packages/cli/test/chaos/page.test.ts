import { expect, test } from 'vitest'
import { verdictPage } from '../../src/chaos/report/page.ts'
import { timelineOf } from '../../src/chaos/timeline.ts'
import { failedRequest, firstFault, secondFault, verdictOf } from './verdicts.ts'

const answers = [
  ...[0, 100, 1_200, 3_500].map((startedAtMs) => ({ startedAtMs, atMs: startedAtMs + 4, ok: true })),
  { startedAtMs: 3_600, atMs: 3_900, ok: false },
]
const zone = { zone: 'east', current: true, epoch: 1, stored: 1, lag: 0, holds: 0 }
const sample = (atMs: number, lagMs: number, connected = true, answered = true) => ({
  ...{ atMs, answered, store: 'a', head: 1, redis: '', zones: [{ ...zone, connected, lagMs }] },
})

test('B99 the time line has one step for each second, with the requests, the delay of each zone and the answers of the global in it', () => {
  const samples = [sample(10, 5), sample(900, 70), sample(1_100, 8, false), sample(3_300, 1, true, false)]
  const { fromMs, stepMs, steps } = timelineOf(answers, samples, [failedRequest(3_900, '503')])
  expect([fromMs, stepMs]).toEqual([0, 1_000])
  expect(steps).toEqual([
    {
      requests: 2,
      failed: 0,
      p99Ms: 4,
      zones: { east: { lagMs: 70, isConnected: true } },
      answered: true,
      observations: 0,
    },
    {
      requests: 1,
      failed: 0,
      p99Ms: 4,
      zones: { east: { lagMs: 8, isConnected: false } },
      answered: true,
      observations: 0,
    },
    { requests: 0, failed: 0, p99Ms: undefined, zones: {}, answered: true, observations: 0 },
    {
      requests: 2,
      failed: 1,
      p99Ms: 4,
      zones: { east: { lagMs: 1, isConnected: true } },
      answered: false,
      observations: 1,
    },
  ])
})

const scenario = { name: 'lost-hub', happened: 'A <b>hub</b> was lost.', does: 'It cuts.', holds: 'All holds.' }
const page = () => {
  const faults = [{ ...firstFault, scenario: 'lost-hub', title: 'partition <east>' }, secondFault]
  const verdict = verdictOf([failedRequest(3_900, '503 "no" & <none>')], faults, answers)
  const timeline = timelineOf(answers, [sample(10, 5), sample(1_100, 8, false)], [])
  return verdictPage({ ...verdict, timeline }, [scenario, { ...scenario, name: 'not-run' }], { seed: 7, rate: 100 })
}

test('B99 the page of a verdict opens from a disk: it has no script, loads nothing, and every text is escaped', () => {
  const html = page()
  expect(html).toMatch(/^<!doctype html>/)
  expect(html).not.toMatch(/<script|\ssrc=|href=|url\(|@import|https?:/)
  expect(html).not.toMatch(/<b>|<east>|<none>/)
  expect(html).toContain('A &lt;b&gt;hub&lt;/b&gt; was lost. It cuts. All holds.')
  expect(html).toContain('partition &lt;east&gt;')
  expect(html).toContain('503 &quot;no&quot; &amp; &lt;none&gt;')
})

test('B99 the page states the verdict, each scenario with its faults, each guarantee and the facts of the run', () => {
  const html = page()
  expect(html).toContain('<h1 class="failed">✘ Failed</h1>')
  for (const text of [
    '<dt>seed</dt><dd>7</dd>',
    'effect: the relay held 9 bytes',
    'kill global for 2.0 s: converged 0.5 s',
  ])
    expect(html).toContain(text)
  expect(html).not.toContain('not-run')
  expect(html.match(/<tr>/g)?.length).toBe(8)
  const picture = /<svg[\s\S]*<\/svg>/.exec(html)?.[0] ?? ''
  // Four seconds are 1,000 units wide: the fault of 1 to 5 s begins at a quarter, and the request failed at 3.9 s.
  expect(picture).toContain('<rect class="fault" x="420" y="13" width="1000" height="5">')
  expect(picture).toContain('<rect class="bad" x="1145" y="0" width="3" height="12">')
  expect(picture).toContain('<rect class="away" x="420" y="0" width="250" height="36"/>')
})
