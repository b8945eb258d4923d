import { option, toggle } from '@zonemesh/plane/config/options.ts'
import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import { z } from 'zod'
import { clientOptions, createClient, requireFields } from '../base/client.ts'
import { defineCommand } from '../base/command.ts'
import { findSceneHere, type RunningState } from '../base/running-scene.ts'
import { duration, showStatus } from '../output/show-status.ts'
import { table } from '../output/table.ts'
import { jsonText } from '../output/terminal-text.ts'

export const status = defineCommand({
  name: 'status',
  summary:
    'show zones and proxies: who is behind, what is held back or quarantined, what was refused and why, and which fields are not served yet',
  usage: '[-o table|json]',
  examples: ['zonemesh status', 'zonemesh status --address http://localhost:5681 -o json'],
  arity: { min: 0, max: 0 },
  options: {
    output: option(z.enum(['table', 'json']).default('table'), 'how to show it: table, json', {
      placeholder: 'FORMAT',
      short: 'o',
      shownDefault: 'table',
    }),
    json: option(toggle.default(false), 'the same as --output json'),
    ...clientOptions,
  },
  async run(values, context) {
    const client = createClient(values)
    const reply = await client.need('GET', '/_status')
    requireFields(client, reply, ['role', 'revision'])
    const { json } = reply
    if (values.json || values.output === 'json') {
      context.print(jsonText(json))
      return 0
    }
    // The plane answers with an object.
    showStatus(context, json as JsonObject)
    const running = findSceneHere()
    if (running?.globalAddress === values.address) for (const line of processLines(running)) context.print(line)
    return 0
  },
})

/** The states of a process of a scene. */
export const processStates = ['runs', 'starts again'] as const

/** The processes that `zonemesh up` runs in this folder. */
function processLines({ processes }: RunningState): readonly string[] {
  const nowMs = Date.now()
  const rows = processes.map(({ name, pid, startedAtMs, restarts }) => [
    name,
    processStates[pid === 0 ? 1 : 0],
    pid === 0 ? '-' : String(pid),
    duration(nowMs - startedAtMs),
    String(restarts),
  ])
  return ['', ...table(['process', 'state', 'pid', 'since', 'restarts'], rows)]
}
