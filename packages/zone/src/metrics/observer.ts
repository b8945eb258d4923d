import { type TypeUrl, typeUrls } from '@zonemesh/core/emit/table.ts'
import type { Metrics } from '@zonemesh/plane/metrics/metrics.ts'
import { rcodes } from '@zonemesh/shared/dns/codec.ts'
import type { DnsObserver } from '@zonemesh/shared/dns/server.ts'
import type { Clock } from '@zonemesh/shared/env/clock.ts'
import type { EngineObserver } from '../engine/engine.ts'
import type { ProgressObserver } from '../engine/progress.ts'
import type { SecretsObserver } from '../secrets/secrets.ts'
import type { XdsObserver } from '../xds/contract.ts'

export type ZoneObserver = EngineObserver & ProgressObserver & SecretsObserver & XdsObserver & DnsObserver

/** Counts and measures what a zone does for its proxies and for clients of its resolver. */
export function createZoneObserver(metrics: Metrics, clock: Pick<Clock, 'monotonicMs'>): ZoneObserver {
  // A counter that exists at 0 shows its first increase, too.
  for (const type of Object.keys(typeUrls)) metrics.count('zonemesh_xds_refusals_total', { type }, 0)
  return {
    compiled: (durationMs) => metrics.observe('zonemesh_compile_duration_seconds', {}, durationMs),
    failed: () => metrics.count('zonemesh_compile_failures_total', {}),
    tableServed: (delayMs) => metrics.observe('zonemesh_xds_table_served_seconds', {}, delayMs),
    issued: (durationMs) => metrics.observe('zonemesh_certificate_issue_duration_seconds', {}, durationMs),
    issueFailed: () => metrics.count('zonemesh_certificate_failures_total', {}),
    streamOpened: () => metrics.count('zonemesh_xds_streams_total', {}),
    flushed: (durationMs) => metrics.observe('zonemesh_xds_flush_duration_seconds', {}, durationMs),
    sent: (typeUrl) => metrics.count('zonemesh_xds_responses_total', { type: typeOf(typeUrl) }),
    refused: (typeUrl) => metrics.count('zonemesh_xds_refusals_total', { type: typeOf(typeUrl) }),
    ...createDnsObserver(metrics, clock),
  }
}

const typeByUrl = new Map(Object.entries(typeUrls).map(([type, url]) => [url, type]))
const typeOf = (url: TypeUrl): string => typeByUrl.get(url) ?? 'other'

const rcodeNames: readonly [number, string][] = Object.entries(rcodes).map(([name, code]) => [code, name.toLowerCase()])
/** A power of two, so that the choice is one bit operation. */
const sampledOf = 64

/**
 * An answer takes a few microseconds, and a labelled increment of a counter a tenth of one. So answers are counted in an
 * array by response code, which the next scrape reads, and only one of 64 is measured: together some nanoseconds.
 */
function createDnsObserver(metrics: Metrics, clock: Pick<Clock, 'monotonicMs'>): DnsObserver {
  const answers = new Float64Array(16)
  let questions = 0
  const count = (reply: Uint8Array): void => {
    const rcode = (reply[3] ?? 0) & 15
    answers[rcode] = (answers[rcode] ?? 0) + 1
  }
  metrics.onScrape(() => {
    for (const [rcode, name] of rcodeNames)
      if (rcode < answers.length) metrics.total('zonemesh_dns_answers_total', { rcode: name }, answers[rcode] ?? 0)
  })
  return {
    sampledMs() {
      questions += 1
      return (questions & (sampledOf - 1)) === 1 ? clock.monotonicMs() : undefined
    },
    answered(reply, sinceMs) {
      count(reply)
      if (sinceMs !== undefined)
        metrics.observe('zonemesh_dns_answer_duration_seconds', {}, clock.monotonicMs() - sinceMs)
    },
    forwarded(reply, sinceMs) {
      count(reply)
      metrics.observe('zonemesh_dns_forward_duration_seconds', {}, clock.monotonicMs() - sinceMs)
    },
  }
}
