import { list, option, positiveDuration, toggle } from '@zonemesh/plane/config/options.ts'
import { type JsonObject, messageOf } from '@zonemesh/shared/base/base.ts'
import { delay, systemClock } from '@zonemesh/shared/env/clock.ts'
import { type Client, clientOptions, createClient, requireFields } from '../base/client.ts'
import { defineCommand } from '../base/command.ts'
import { proxyFolders, readCounters } from '../base/envoy-counters.ts'
import { dataFolderOf, findRunning, sceneOptions } from '../base/running-scene.ts'
import { createScreen } from '../output/screen.ts'
import { rows, showProxies, showZones, text } from '../output/show-status.ts'
import { type Counters, trafficBetween, trafficLines } from '../output/traffic.ts'

export const top = defineCommand({
  name: 'top',
  summary:
    'show zones, and the traffic of the proxies on this machine: requests, errors and response times of their listeners and of the services that they call',
  usage: '[--once] [--work-dir DIR…]',
  examples: ['zonemesh top', 'zonemesh top --once', 'zonemesh top --work-dir /var/lib/zonemesh/dataplane-edge-1'],
  arity: { min: 0, max: 0 },
  options: {
    once: option(toggle.default(false), 'print one table and exit, as in a pipe'),
    interval: option(positiveDuration.prefault('2s'), 'the time between two readings', {
      placeholder: 'DURATION',
      shownDefault: '2s',
    }),
    workDir: option(list.default([]), 'the work folder of a proxy on this machine', {
      placeholder: 'DIR',
      repeated: true,
      shownDefault: 'those of the scene that runs in this folder',
    }),
    ...sceneOptions,
    ...clientOptions,
  },
  async run(values, context) {
    const client = createClient(values)
    const folder = dataFolderOf(values)
    const folders = values.workDir.length > 0 ? values.workDir : findRunning(folder) ? proxyFolders(folder) : []
    const screen = createScreen(context)
    const isOnce = values.once || !screen.isTerminal
    if (isOnce && folders.length === 0) context.note(noProxies)
    let before = await readAll(folders)
    do {
      // Rates need two readings.
      if (folders.length > 0 || !isOnce)
        await delay(systemClock, values.interval, context.signal).catch(() => undefined)
      if (context.signal.aborted && !isOnce) break
      const after = await readAll(folders)
      const zones = await zoneLines(client).catch((thrown: unknown) => {
        if (isOnce) throw thrown
        return [messageOf(thrown)]
      })
      screen.show([...zones, ...trafficOf(before, after), ...(folders.length === 0 && !isOnce ? ['', noProxies] : [])])
      before = after
    } while (!isOnce)
    return 0
  },
})

const noProxies =
  'no traffic is shown: a proxy counts it on its own machine, in the folder of a scene that runs, or with --work-dir'

/** The counters of each Envoy that answers; a reason in place of one that does not. */
const readAll = (folders: readonly string[]): Promise<readonly (Counters | string)[]> =>
  Promise.all(
    folders.map((one) => readCounters(one).catch((thrown: unknown) => `${one} does not answer: ${messageOf(thrown)}`)),
  )

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
  if (after.length === 0) return []
  const traffic = after.flatMap((one, index) => {
    const first = before[index]
    return typeof one === 'string' || typeof first !== 'object' ? [] : trafficBetween(first, one)
  })
  return ['', ...trafficLines(traffic), ...after.filter((one) => typeof one === 'string')]
}
