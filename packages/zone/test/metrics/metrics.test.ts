import { typeUrls } from '@zonemesh/core/emit/table.ts'
import { createMetrics } from '@zonemesh/plane/metrics/metrics.ts'
import { createVirtualClock } from '@zonemesh/shared/env/clock.ts'
import type { Hold } from '@zonemesh/shared/sync/log/messages.ts'
import { createUplinkState, standbyState } from '@zonemesh/shared/sync/uplink-state.ts'
import { expect, test } from 'vitest'
import { followUplinks, showUplink, showZone } from '../../src/metrics/figures.ts'
import { createZoneObserver } from '../../src/metrics/observer.ts'

function scene(role: 'zone' | 'standalone' = 'zone') {
  const clock = createVirtualClock()
  const metrics = createMetrics(role)
  const figures = async (pattern: RegExp): Promise<readonly string[]> =>
    (await metrics.text()).split('\n').filter((line) => pattern.test(line) && !line.startsWith('#'))
  return { clock, metrics, figures }
}

/** A reply with a response code. */
const reply = (rcode: number): Uint8Array => Uint8Array.from([0, 0, 0x81, 0x80 | rcode, 0, 0])

test('MT13 answers are counted by response code, and the first of 64 is measured', async () => {
  const { clock, metrics, figures } = scene()
  const observer = createZoneObserver(metrics, clock)
  for (let question = 0; question < 129; question += 1) {
    const sinceMs = observer.sampledMs()
    clock.advance(2)
    observer.answered(reply(question < 100 ? 0 : 3), sinceMs)
  }
  observer.forwarded(reply(2), clock.monotonicMs() - 30)
  expect(await figures(/^zonemesh_dns_(answers|.*(sum|count))/)).toEqual([
    'zonemesh_dns_answers_total{rcode="noerror"} 100',
    'zonemesh_dns_answers_total{rcode="formerr"} 0',
    'zonemesh_dns_answers_total{rcode="servfail"} 1',
    'zonemesh_dns_answers_total{rcode="nxdomain"} 29',
    'zonemesh_dns_answers_total{rcode="notimp"} 0',
    'zonemesh_dns_answers_total{rcode="refused"} 0',
    'zonemesh_dns_answer_duration_seconds_sum 0.006',
    'zonemesh_dns_answer_duration_seconds_count 3',
    'zonemesh_dns_forward_duration_seconds_sum 0.03',
    'zonemesh_dns_forward_duration_seconds_count 1',
  ])
})

test('MT11 a refused table increases the counter of its type', async () => {
  const { clock, metrics, figures } = scene()
  const observer = createZoneObserver(metrics, clock)
  const ofListener = /^zonemesh_xds_(refusals|responses)_total\{type="(listener|route)"/
  expect(await figures(ofListener)).toEqual([
    'zonemesh_xds_refusals_total{type="listener"} 0',
    'zonemesh_xds_refusals_total{type="route"} 0',
  ])
  observer.refused(typeUrls.listener)
  observer.sent(typeUrls.route)
  observer.sent(typeUrls.route)
  expect(await figures(ofListener)).toEqual([
    'zonemesh_xds_responses_total{type="route"} 2',
    'zonemesh_xds_refusals_total{type="listener"} 1',
    'zonemesh_xds_refusals_total{type="route"} 0',
  ])
})

test('MT12 what the core measures is in the histograms and counters of the zone', async () => {
  const { clock, metrics, figures } = scene('standalone')
  const observer = createZoneObserver(metrics, clock)
  observer.compiled(20)
  observer.failed()
  observer.tableServed(40)
  observer.issued(5)
  observer.issueFailed()
  observer.streamOpened()
  observer.flushed(0.5)
  expect(await figures(/_sum|compile_failures|certificate_failures|streams_total/)).toEqual([
    'zonemesh_compile_duration_seconds_sum 0.02',
    'zonemesh_compile_failures_total 1',
    'zonemesh_xds_streams_total 1',
    'zonemesh_xds_flush_duration_seconds_sum 0.0005',
    'zonemesh_xds_table_served_seconds_sum 0.04',
    'zonemesh_dns_answer_duration_seconds_sum 0',
    'zonemesh_dns_forward_duration_seconds_sum 0',
    'zonemesh_certificate_issue_duration_seconds_sum 0.005',
    'zonemesh_certificate_failures_total 1',
    'nodejs_eventloop_delay_seconds_sum 0',
  ])
  const silent = ['a', 'b']
  showZone(metrics, {
    compiler: { counters: { unitsCompiled: 70 } },
    engine: { liveCount: () => 4 },
    progress: { read: () => ({ mark: 1, silent }) },
    quarantine: { count: () => 3 },
    refusals: { verdicts: () => [] },
    expiry: { figures: () => [{ what: 'zone token', endsInMs: 5_400, due: 1 }] },
  })
  expect(await figures(/units|proxies|quarantined|parts|expir/)).toEqual([
    'zonemesh_expiry_seconds{what="zone token"} 5',
    'zonemesh_expiring{what="zone token"} 1',
    'zonemesh_units_compiled_total 70',
    'zonemesh_rows_quarantined 3',
    'zonemesh_parts_refused 0',
    'zonemesh_proxies_connected 4',
    'zonemesh_proxies_silent 2',
  ])
})

const turn = () => new Promise((resolve) => setImmediate(resolve))
const position = (revision: number) => ({ store: 'g', revision, commitId: 'c' })

test('MT10 a zone counts its sessions and reconnects, and shows whether it is connected and current', async () => {
  const { clock, metrics, figures } = scene()
  const { latest, change } = createUplinkState(clock, 0)
  showUplink(metrics, clock, { state: () => latest.value })
  void followUplinks(metrics)(latest)
  await turn()
  const uplink = /^zonemesh_uplink_(connected|standby|current|lag|sessions|reconnects)/
  expect((await figures(uplink)).map((line) => line.split(' ')[1])).toEqual(['0', '0', '0', '0', '0', '0'])
  const session = { globalStoreId: 'g', phase: 'connected', positionCounts: true, confirmedAtMs: 0 } as const
  change({ ...session, epoch: 7, position: position(3), globalMark: 5 })
  await turn()
  expect(await figures(uplink)).toEqual([
    'zonemesh_uplink_connected 1',
    'zonemesh_uplink_standby 0',
    'zonemesh_uplink_current 0',
    'zonemesh_uplink_lag_revisions 2',
    'zonemesh_uplink_sessions_total 1',
    'zonemesh_uplink_reconnects_total 0',
  ])
  change({ phase: 'waiting' })
  await turn()
  change({ ...session, epoch: 8, position: position(5) })
  await turn()
  change({ reason: 'the disk is full' })
  await turn()
  expect((await figures(uplink)).map((line) => line.split(' ')[1])).toEqual(['1', '0', '1', '0', '2', '1'])
  // The store of a global that does not answer has no mark.
  change({ globalMark: Number.MAX_SAFE_INTEGER })
  expect((await figures(/lag_revisions/))[0]).toBe('zonemesh_uplink_lag_revisions 0')
})

test('MT9 a zone counts a hold once, also if a new session repeats it, and shows that it holds it', async () => {
  const { clock, metrics, figures } = scene()
  const { latest, change } = createUplinkState(clock, 0)
  showUplink(metrics, clock, { state: () => latest.value })
  void followUplinks(metrics)(latest)
  const hold: Hold = { id: 'h1', origin: 'global', reason: 'too much', removals: 20 }
  const holds = async (next: Hold | undefined) => {
    change({ hold: next })
    await turn()
    return (await figures(/^zonemesh_uplink_(changes_held|holds)/)).map((line) => line.split(' ')[1])
  }
  expect(await holds(hold)).toEqual(['1', '1'])
  expect(await holds(undefined)).toEqual(['0', '1'])
  expect(await holds(hold)).toEqual(['1', '1'])
  expect(await holds({ ...hold, id: 'h2' })).toEqual(['1', '2'])
  // A stopped uplink is no longer followed.
  change({ phase: 'stopped' })
  await turn()
  expect(await holds({ ...hold, id: 'h3' })).toEqual(['1', '2'])
})

test('MT10 a process that leads again counts its next session as a reconnect, and one on standby has no session', async () => {
  const { clock, metrics, figures } = scene()
  const [first, second] = [createUplinkState(clock, 0), createUplinkState(clock, 0)]
  let state = first.latest.value
  showUplink(metrics, clock, { state: () => state })
  const follow = followUplinks(metrics)
  void follow(first.latest)
  first.change({ phase: 'connected', epoch: 7 })
  await turn()
  first.change({ phase: 'stopped' })
  state = standbyState('the replica b has the session')
  expect(await figures(/^zonemesh_uplink_(connected|standby)/)).toEqual([
    'zonemesh_uplink_connected 0',
    'zonemesh_uplink_standby 1',
  ])
  void follow(second.latest)
  second.change({ phase: 'connected', epoch: 9 })
  await turn()
  expect(await figures(/^zonemesh_uplink_(sessions|reconnects)/)).toEqual([
    'zonemesh_uplink_sessions_total 2',
    'zonemesh_uplink_reconnects_total 1',
  ])
})
