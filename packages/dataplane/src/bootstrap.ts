import { request } from 'node:https'
import { messageOf } from '@zonemesh/shared/base/base.ts'
import type { Clock } from '@zonemesh/shared/env/clock.ts'
import type { Log } from '@zonemesh/shared/env/log.ts'
import type { Random } from '@zonemesh/shared/env/random.ts'
import { backOffMs, supervise } from '@zonemesh/shared/env/supervise.ts'
import { certificateReason } from '@zonemesh/shared/transport/certificates.ts'
import { endpointOf } from './address.ts'
import { PinError } from './trust.ts'

export interface BootstrapCall {
  readonly address: URL
  /** PEM of the CA; undefined for the system's roots. */
  readonly authority: string | undefined
  readonly body: unknown
}

const tryMs = 10_000
const totalMs = 5 * 60_000
const backOff = { minMs: 50, firstMaxMs: 100, maxMs: 3_000 }

/** The zone has refused the proxy for good. The message is one line with the reason. */
export class BootstrapRefused extends Error {}

/**
 * Fetches Envoy's bootstrap. Tries again if the zone cannot be reached, fails, or has no row of the proxy yet. Throws
 * on every other refusal, and after five minutes.
 */
export async function fetchBootstrap(
  deps: { readonly clock: Clock; readonly log: Log; readonly random: Random },
  call: () => Promise<BootstrapCall>,
  signal: AbortSignal,
): Promise<string> {
  const giveUpAt = deps.clock.monotonicMs() + totalMs
  let lastReason = ''
  return supervise(
    deps.clock,
    {
      attempt: () => fetchOnce(call, signal),
      judge({ cause, failures }) {
        const reason = messageOf(cause)
        if (cause instanceof BootstrapRefused) throw cause
        if (deps.clock.monotonicMs() > giveUpAt) throw new BootstrapRefused(reason, { cause })
        if (reason !== lastReason) deps.log.warn({ reason }, 'cannot fetch the bootstrap; trying again')
        lastReason = reason
        return { waitMs: backOffMs(backOff, failures, deps.random.fraction()) }
      },
    },
    signal,
  )
}

/** Throws `BootstrapRefused` if another attempt cannot succeed. */
async function fetchOnce(call: () => Promise<BootstrapCall>, signal: AbortSignal): Promise<string> {
  const made = await call().catch((cause: unknown) => {
    throw cause instanceof PinError ? new BootstrapRefused(cause.message, { cause }) : cause
  })
  const { host } = made.address
  const { status, body } = await post(made, signal).catch(async (cause: unknown) => {
    const remedy = 'give the authority of the zone, the ca.crt in its data folder, with --ca-cert-file'
    const expected = { ...endpointOf(made.address), authorityPem: made.authority, remedy }
    throw new Error(`cannot reach the zone at ${host}: ${await certificateReason(cause, expected, signal)}`, { cause })
  })
  if (status === 200) return decode(host, body)
  if (status === 404 && body.trim() === '404: Page Not Found')
    throw new Error(`${host} is the port of the HTTP API; the port for proxies is 5678 by default`)
  if (status === 404) throw new Error(`the zone at ${host} has no row of this proxy yet`)
  const reason = `the zone at ${host} refuses this proxy (${status}): ${body.trim() || 'no reason given'}`
  throw status < 500 ? new BootstrapRefused(reason) : new Error(reason)
}

function decode(host: string, body: string): string {
  try {
    const parsed: unknown = JSON.parse(body)
    const text = parsed !== null && typeof parsed === 'object' && 'bootstrap' in parsed ? parsed.bootstrap : undefined
    if (typeof text === 'string') return Buffer.from(text, 'base64').toString('utf8')
  } catch (cause) {
    throw new Error(`expected JSON in the response of the zone at ${host}: ${messageOf(cause)}`, { cause })
  }
  throw new Error(`expected a bootstrap in the response of the zone at ${host}, found none`)
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
