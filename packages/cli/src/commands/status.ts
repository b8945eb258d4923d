import { option, toggle } from '@zonemesh/plane/config/options.ts'
import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import { clientOptions, createClient } from '../client.ts'
import { type Context, defineCommand } from '../command.ts'
import { table } from '../table.ts'

const text = (value: unknown): string => (value === undefined || value === null ? '-' : String(value))
const rows = (value: unknown): readonly JsonObject[] => (Array.isArray(value) ? value : [])

/** `global/MeshGatewayRoute/default/r` → `MeshGatewayRoute default/r`. */
function resourceName(key: unknown): string {
  const [, kind = '', mesh = '', name = ''] = text(key).split('/')
  return kind === '' ? text(key) : `${kind} ${mesh === '' ? '' : `${mesh}/`}${name}`
}

function showZones(context: Context, zones: readonly JsonObject[]): void {
  if (zones.length === 0) {
    context.print('no zones; `zonemesh token zone NAME` creates one')
    return
  }
  const cells = zones.map((zone) => {
    // The plane answers with these shapes.
    const revision = (zone['revision'] ?? {}) as JsonObject
    const proxies = (zone['proxies'] ?? {}) as JsonObject
    const state =
      zone['enabled'] === false
        ? 'disabled'
        : zone['connected'] === true
          ? zone['current'] === true
            ? 'current'
            : 'behind'
          : 'offline'
    const lag = zone['connected'] === true ? `${text(zone['lagRevisions'])}` : '-'
    return [
      text(zone['zone']),
      state,
      text(revision['stored']),
      text(revision['served']),
      lag,
      `${text(proxies['connected'])}/${text(proxies['total'])}`,
      text(zone['host']),
      zone['connected'] === true ? '' : text(zone['reason']),
    ]
  })
  for (const line of table(['ZONE', 'STATE', 'STORED', 'SERVED', 'LAG', 'PROXIES', 'HOST', ''], cells))
    context.print(line.trimEnd())
}

function showProxies(context: Context, proxies: readonly JsonObject[]): void {
  const cells = proxies.map((proxy) => [
    resourceName(proxy['proxy']),
    text(proxy['state']),
    text(proxy['served']),
    text(proxy['reason'] ?? ''),
  ])
  for (const line of table(['PROXY', 'STATE', 'SERVED', ''], cells)) context.print(line.trimEnd())
}

export const status = defineCommand({
  name: 'status',
  summary: 'show zones and proxies, what they refused and why, and which fields are stored but not served yet',
  usage: '[--json]',
  examples: ['zonemesh status', 'zonemesh status --address http://localhost:5681 --json'],
  arity: { min: 0, max: 0 },
  options: { json: option(toggle.default(false), 'print the answer as JSON'), ...clientOptions },
  async run(values, context) {
    const reply = await createClient(values).need('GET', '/_status')
    if (values.json) {
      context.print(JSON.stringify(reply.json, null, 2))
      return 0
    }
    // The plane answers with an object.
    const body = reply.json as JsonObject
    context.print(
      `${text(body['role'])} control plane, store ${text(body['store'])}, revision ${text(body['revision'])}`,
    )
    if (body['role'] === 'global') showZones(context, rows(body['zones']))
    else {
      const uplink = (body['uplink'] ?? {}) as JsonObject
      if (body['role'] === 'zone')
        context.print(
          `uplink ${text(uplink['phase'])}${uplink['reason'] ? `: ${text(uplink['reason'])}` : ''}, global revision ${text(uplink['revision'])}`,
        )
      showProxies(context, rows(body['proxies']))
    }
    const verdicts: readonly JsonObject[] = [
      ...rows(body['verdicts']),
      ...rows(body['quarantined']).map((one): JsonObject => ({ ...one, outcome: 'quarantined' })),
      ...rows(body['zones']).flatMap((zone) =>
        rows(zone['verdicts']).map((one): JsonObject => ({ ...one, zone: zone['zone'] ?? '' })),
      ),
    ]
    for (const one of verdicts) {
      const at = one['zone'] === undefined ? '' : ` in ${text(one['zone'])}`
      context.print(
        `${text(one['outcome'])}: ${resourceName(one['key'])}${at}${one['subject'] ? ` by ${resourceName(one['subject'])}` : ''}: ${text(one['reason'])}`,
      )
    }
    for (const one of rows(body['unserved']))
      context.print(
        `not served: ${text(one['kind'])} ${one['mesh'] ? `${text(one['mesh'])}/` : ''}${text(one['name'])}: ${text(one['warning'])}`,
      )
    return 0
  },
})
