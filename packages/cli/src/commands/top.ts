import { option, positiveDuration, toggle } from '@zonemesh/plane/config/options.ts'
import { type JsonObject, messageOf } from '@zonemesh/shared/base/base.ts'
import { delay, systemClock } from '@zonemesh/shared/env/clock.ts'
import { type Client, clientOptions, createClient, requireFields } from '../base/client.ts'
import { defineCommand } from '../base/command.ts'
import { createScreen } from '../output/screen.ts'
import { rows, showProxies, showZones, text } from '../output/show-status.ts'
import { type Counters, trafficBetween, trafficLines } from '../output/traffic.ts'
import { readCounters } from '../resources/envoy-counters.ts'
import { onlineProxies } from '../resources/proxies.ts'

export const top = defineCommand({
  name: 'top',
  summary:
    'show zones, and the traffic of gateways, ingresses and egresses: requests, errors and response times of their listeners and of the services that they call',
  usage: '[--once] [--sidecars] [--interval DURATION]',
  examples: ['zonemesh top', 'zonemesh top --once', 'zonemesh top --sidecars --interval 5s'],
  arity: { min: 0, max: 0 },
  options: {
    once: option(toggle.default(false), 'print one table and exit, as in a pipe'),
    sidecars: option(toggle.default(false), 'also the traffic of sidecars, of which a mesh may have very many'),
    interval: option(positiveDuration.prefault('2s'), 'the time between two readings', {
      placeholder: 'DURATION',
      shownDefault: '2s',
    }),
    ...clientOptions,
  },
  async run(values, context) {
    const client = createClient(values)
    const screen = createScreen(context)
    const isOnce = values.once || !screen.isTerminal
    let before = await readAll(client, values.sidecars)
    do {
      // Rates need two readings.
      if (before.length > 0 || !isOnce) await delay(systemClock, values.interval, context.signal).catch(() => undefined)
      if (context.signal.aborted && !isOnce) break
      const after = await readAll(client, values.sidecars)
      const zones = await zoneLines(client).catch((thrown: unknown) => {
        if (isOnce) throw thrown
        return [messageOf(thrown)]
      })
      screen.show([...zones, ...trafficOf(before, after)])
      before = after
    } while (!isOnce)
    return 0
  },
})

/** A zone answers two of these at a time, and lets sixteen wait. */
const atOnceMax = 8

/** The counters of each Envoy that answers; a reason in place of one that does not. */
async function readAll(client: Client, sidecars: boolean): Promise<readonly (Counters | string)[]> {
  const proxies = await onlineProxies(client, sidecars).catch((thrown: unknown) => messageOf(thrown))
  if (typeof proxies === 'string') return [proxies]
  const found: (Counters | string)[] = []
  for (let at = 0; at < proxies.length; at += atOnceMax)
    found.push(
      ...(await Promise.all(
        proxies
          .slice(at, at + atOnceMax)
          .map((one) => readCounters(client, one).catch((thrown: unknown) => `${one.name}: ${messageOf(thrown)}`)),
      )),
    )
  return found
}

async function zoneLines(client: Client): Promise<readonly string[]> {
  const reply = await client.need('GET', '/_status')
  requireFields(client, reply, ['role', 'revision'])
  // The plane answers with an object.
  const body = reply.json as JsonObject
  const lines: string[] = []
  const print = (line: string) => void lines.push(line)
  if (body['role'] === 'global') showZones({ print }, rows(body['zones']))
  else showProxies({ print }, text(body['zone']), rows(body['proxies']))
  return lines
}

function trafficOf(before: readonly (Counters | string)[], after: readonly (Counters | string)[]): readonly string[] {
  if (after.length === 0) return ['', 'no gateway, ingress or egress is online; --sidecars shows other proxies']
  const former = new Map(before.flatMap((one) => (typeof one === 'string' ? [] : [[one.proxy, one] as const])))
  const traffic = after.flatMap((one) => {
    const first = typeof one === 'string' ? undefined : former.get(one.proxy)
    return typeof one === 'string' || !first ? [] : trafficBetween(first, one)
  })
  return ['', ...trafficLines(traffic), ...after.filter((one) => typeof one === 'string')]
}
