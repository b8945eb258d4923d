import { request } from 'node:https'
import { messageOf } from '@zonemesh/shared/base/base.ts'
import { type Clock, delay } from '@zonemesh/shared/env/clock.ts'
import type { Log } from '@zonemesh/shared/env/log.ts'
import { endpointOf } from './address.ts'

export interface BootstrapCall {
  readonly address: URL
  /** PEM of the CA; undefined for the system's roots. */
  readonly authority: string | undefined
  readonly body: unknown
}

const tryMs = 10_000
const totalMs = 5 * 60_000
const firstWaitMs = 100
const longestWaitMs = 3_000

/** The zone has refused the proxy for good. The message is one line with the reason. */
export class BootstrapRefused extends Error {}

/**
 * Fetches Envoy's bootstrap. Tries again if the zone cannot be reached, fails, or has no row of the proxy yet. Throws
 * on every other refusal, and after five minutes.
 */
export async function fetchBootstrap(
  deps: { readonly clock: Clock; readonly log: Log },
  call: () => Promise<BootstrapCall>,
  signal: AbortSignal,
): Promise<string> {
  const giveUpAt = deps.clock.monotonicMs() + totalMs
  let waitMs = firstWaitMs
  let lastReason = ''
  for (;;) {
    const outcome = await tryOnce(call, signal)
    if (typeof outcome === 'string') return outcome
    signal.throwIfAborted()
    if (outcome.final || deps.clock.monotonicMs() > giveUpAt) throw new BootstrapRefused(outcome.reason)
    if (outcome.reason !== lastReason)
      deps.log.warn({ reason: outcome.reason }, 'cannot fetch the bootstrap; trying again')
    lastReason = outcome.reason
    await delay(deps.clock, waitMs, signal)
    waitMs = Math.min(waitMs * 2, longestWaitMs)
  }
}

interface Failure {
  readonly final: boolean
  readonly reason: string
}

async function tryOnce(call: () => Promise<BootstrapCall>, signal: AbortSignal): Promise<string | Failure> {
  let host = ''
  try {
    const made = await call()
    host = made.address.host
    const { status, body } = await post(made, signal)
    if (status === 200) return decode(body)
    if (status === 404 && body.trim() === '404: Page Not Found') {
      return { final: false, reason: `${host} is the port of the HTTP API; the port for proxies is 5678 by default` }
    }
    if (status === 404) return { final: false, reason: `the zone at ${host} has no row of this proxy yet` }
    const reason = `the zone at ${host} refuses this proxy (${status}): ${body.trim() || 'no reason given'}`
    return { final: status < 500, reason }
  } catch (error) {
    const final = error instanceof Error && error.constructor.name === 'PinError'
    return {
      final,
      reason: final || host === '' ? messageOf(error) : `cannot reach the zone at ${host}: ${messageOf(error)}`,
    }
  }
}

function decode(body: string): string {
  const parsed: unknown = JSON.parse(body)
  const text = parsed !== null && typeof parsed === 'object' && 'bootstrap' in parsed ? parsed.bootstrap : undefined
  if (typeof text !== 'string') throw new Error('expected a bootstrap in the response of the zone, found none')
  return Buffer.from(text, 'base64').toString('utf8')
}

function post(call: BootstrapCall, signal: AbortSignal): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const text = JSON.stringify(call.body)
    const sent = request(
      {
        ...endpointOf(call.address),
        path: '/bootstrap',
        method: 'POST',
        agent: false,
        timeout: tryMs,
        signal,
        headers: {
          accept: 'application/json',
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(text),
        },
        ...(call.authority === undefined ? {} : { ca: call.authority }),
      },
      (response) => {
        let body = ''
        response.setEncoding('utf8').on('data', (chunk: string) => {
          body += chunk
        })
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body })).on('error', reject)
      },
    )
    sent.on('timeout', () => sent.destroy(new Error(`no response within ${tryMs / 1000} s`)))
    sent.on('error', reject).end(text)
  })
}
