import { option, text, toggle } from '@zonemesh/plane/config/options.ts'
import { isJsonObject, type JsonObject } from '@zonemesh/shared/base/base.ts'
import { z } from 'zod'
import {
  type Client,
  clientOptions,
  createClient,
  errorLines,
  type Reply,
  requireFields,
  requireText,
} from '../base/client.ts'
import { CommandError, defineCommand } from '../base/command.ts'
import { textOrJson } from '../base/output-form.ts'
import { table } from '../output/table.ts'
import { jsonText } from '../output/terminal-text.ts'
import { type ProxyType, proxyPath, proxyTypes } from '../resources/proxies.ts'

const commonOptions = {
  mesh: option(text.default('default'), 'the mesh of a data plane proxy', {
    placeholder: 'MESH',
    short: 'm',
    shownDefault: 'default',
  }),
  type: option(z.enum(proxyTypes).default('dataplane'), 'what the proxy is: dataplane, ingress, egress', {
    placeholder: 'TYPE',
    shownDefault: 'dataplane',
  }),
  ...clientOptions,
}

interface ProxyValues {
  readonly mesh: string
  readonly type: ProxyType
}

async function read(client: Client, values: ProxyValues, name: string, rest: string): Promise<Reply> {
  const reply = await client.call('GET', `${proxyPath(values.type, values.mesh, name)}/${rest}`)
  if (reply.status === 404) {
    const where = values.type === 'dataplane' ? ` in mesh "${values.mesh}"` : ''
    throw new CommandError(
      `no ${values.type} "${name}"${where} at ${client.address}; zonemesh status lists the proxies`,
    )
  }
  if (reply.status >= 400) throw new CommandError(errorLines(reply))
  return reply
}

/** The short name of a type URL: `Cluster` of `type.googleapis.com/envoy.config.cluster.v3.Cluster`. */
const shortType = (typeUrl: string): string => typeUrl.slice(typeUrl.lastIndexOf('.') + 1)

export const proxyConfig = defineCommand({
  name: 'proxy config',
  summary: 'show the configuration of a proxy as its zone compiles it, and what its Envoy runs instead',
  usage: 'NAME [--mesh MESH] [--type dataplane|ingress|egress] [--dump] [-o text|json]',
  examples: [
    'zonemesh proxy config edge-gateway-east',
    'zonemesh proxy config echo-1 -o json',
    'zonemesh proxy config ingress-west --type ingress --dump',
  ],
  arity: { min: 1, max: 1 },
  options: {
    ...commonOptions,
    dump: option(toggle.default(false), "print Envoy's own dump instead, with its endpoints", { shownDefault: 'no' }),
    output: textOrJson,
  },
  async run(values, { positionals: [name = ''], print }) {
    const client = createClient(values)
    if (values.dump) {
      print(jsonText((await read(client, values, name, 'xds?include_eds=true')).json))
      return 0
    }
    const reply = await read(client, values, name, '_config')
    requireFields(client, reply, ['xds', 'differences'])
    const { json } = reply
    if (values.output === 'json') print(jsonText(json))
    else for (const line of configLines(json)) print(line)
    return differencesOf(json).length === 0 ? 0 : 1
  },
})

const differencesOf = (json: unknown): readonly JsonObject[] =>
  isJsonObject(json) && Array.isArray(json['differences']) ? json['differences'].filter(isJsonObject) : []

function configLines(json: unknown): readonly string[] {
  const xds = isJsonObject(json) && isJsonObject(json['xds']) ? json['xds'] : {}
  const rows = Object.entries(xds).flatMap(([type, resources]) =>
    Object.keys(isJsonObject(resources) ? resources : {}).map((name) => [shortType(type), name]),
  )
  const different = differencesOf(json)
  const lines = table(['TYPE', 'NAME'], rows)
  if (different.length === 0) return [...lines, '', 'Envoy runs exactly this configuration.']
  return [...lines, '', 'Envoy runs something else:', ...different.map(differenceLine)]
}

function differenceLine({ type, name, compiled, accepted, refused }: JsonObject): string {
  const what = `  ${shortType(String(type))} ${String(name)}`
  if (refused !== undefined) return `${what}: Envoy refuses it: ${String(refused)}`
  if (accepted === undefined) return `${what}: Envoy does not have it yet`
  if (compiled === undefined) return `${what}: Envoy still has it, and it is no longer compiled`
  return `${what}: Envoy has version ${String(accepted)}, and ${String(compiled)} is compiled`
}

/** A command that prints one view of Envoy's admin interface. */
function viewCommand(part: 'clusters' | 'listeners' | 'stats', summary: string, example: string) {
  return defineCommand({
    name: `proxy ${part}`,
    summary,
    usage: 'NAME [--mesh MESH] [--type dataplane|ingress|egress] [-o text|json]',
    examples: [example],
    arity: { min: 1, max: 1 },
    options: { ...commonOptions, output: textOrJson },
    async run(values, { positionals: [name = ''], print }) {
      const rest = values.output === 'json' ? `${part}?format=json` : part
      const client = createClient(values)
      const reply = await read(client, values, name, rest)
      print(values.output === 'json' ? jsonText(reply.json) : requireText(client, reply).trimEnd())
      return 0
    },
  })
}

export const proxyClusters = viewCommand(
  'clusters',
  'show the clusters of the Envoy of a proxy, with the health and the counters of their endpoints',
  'zonemesh proxy clusters edge-gateway-east',
)
export const proxyListeners = viewCommand(
  'listeners',
  'show the listeners of the Envoy of a proxy and their addresses',
  'zonemesh proxy listeners edge-gateway-east',
)
export const proxyStats = viewCommand(
  'stats',
  'show the statistics of the Envoy of a proxy that have been used',
  'zonemesh proxy stats echo-1 --mesh default',
)
