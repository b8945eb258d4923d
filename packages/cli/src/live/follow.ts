import { Agent } from 'node:http'
import { performance } from 'node:perf_hooks'
import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import { messageOf } from '@zonemesh/shared/base/base.ts'
import { delay, systemClock } from '@zonemesh/shared/env/clock.ts'
import type { Client } from '../base/client.ts'
import { readMessages } from '../base/events.ts'
import { requestOnce } from '../base/http.ts'
import type { Demo } from '../demo/run.ts'
import { stateOf } from '../output/show-status.ts'
import type { LiveEvent, ZoneState } from './state.ts'

type Report = (event: LiveEvent) => void

const requestEveryMs = 100
const statusEveryMs = 250
const servedLimit = '10s'

/** Sends requests through the gateway of east until the signal, and reports who answered. */
export async function followTraffic(demo: Demo, report: Report, signal: AbortSignal): Promise<void> {
  const agent = new Agent({ keepAlive: true })
  const target = { host: '127.0.0.1', port: demo.gatewayPort, hostname: demo.names.hostname, path: '/split', agent }
  while (!signal.aborted) {
    const [atMs, startMs] = [Date.now(), performance.now()]
    // A slow request delays no other one.
    void requestOnce(target).then(
      ({ status, headers }) => {
        const name = `${String(headers['x-version'] ?? 'nobody')} in ${String(headers['x-zone'] ?? 'no zone')}`
        const answeredBy = status === 200 ? name : `refused by the gateway with ${status}`
        report({ type: 'request', request: { atMs, ms: performance.now() - startMs, status, answeredBy } })
      },
      (thrown: unknown) => {
        const answeredBy = `no answer: ${messageOf(thrown)}`
        report({ type: 'request', request: { atMs, ms: performance.now() - startMs, status: 0, answeredBy } })
      },
    )
    await delay(systemClock, requestEveryMs, signal).catch(() => undefined)
  }
  agent.destroy()
}

/** Reads the status of the global until the signal. */
export async function followStatus(global: Client, report: Report, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const zones = await zonesOf(global).catch(() => undefined)
    report({ type: 'status', atMs: Date.now(), zones })
    await delay(systemClock, statusEveryMs, signal).catch(() => undefined)
  }
}

async function zonesOf(global: Client): Promise<readonly ZoneState[]> {
  const { json } = await global.need('GET', '/_status')
  // The global answers with its own type.
  const { zones } = json as { readonly zones: readonly JsonObject[] }
  return zones.map((zone) => {
    // Fields of the type of the global.
    const { revision, proxies, epoch } = zone as {
      readonly revision?: { readonly served?: number }
      readonly proxies?: { readonly connected?: number; readonly total?: number }
      readonly epoch?: number
    }
    return {
      zone: String(zone['zone']),
      state: stateOf(zone),
      session: String(epoch ?? '-'),
      served: String(revision?.served ?? '-'),
      proxies: `${proxies?.connected ?? '-'}/${proxies?.total ?? '-'}`,
    }
  })
}

/** Follows the changes of policies on the global until the signal, and reports when the zones served each. */
export async function followChanges(global: Client, report: Report, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      for await (const message of readMessages(global, '/_events', signal)) {
        if (message.event !== 'added' && message.event !== 'changed' && message.event !== 'deleted') continue
        const { type, name, revision } = message.data
        if (/^(Dataplane|Zone)/.test(type) || revision === undefined) continue
        void reportServed(global, `${type} ${name} ${message.event} ${revision}`, revision, report)
      }
    } catch {
      // The status shows that the global does not answer.
    }
    await delay(systemClock, statusEveryMs, signal).catch(() => undefined)
  }
}

async function reportServed(global: Client, what: string, revision: string, report: Report): Promise<void> {
  const query = `wait=served@all&timeout=${servedLimit}`
  const reply = await global.call('GET', `/_receipts/${encodeURIComponent(revision)}?${query}`).catch(() => undefined)
  if (!reply || reply.status >= 400) return
  // The global answers with its own type.
  const { zones } = reply.json as { readonly zones: readonly { zone: string; state: string; delayMs?: number }[] }
  const delays = zones
    .map(({ zone, state, delayMs }) => `${zone} ${delayMs === undefined ? state : `after ${Math.round(delayMs)} ms`}`)
    .join(', ')
  report({ type: 'served', atMs: Date.now(), what, delays })
}
