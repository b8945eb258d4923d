import { explain as explainRequest } from '@zonemesh/core/explain/explain.ts'
import { readRequest } from '@zonemesh/core/explain/request.ts'
import type { Sources } from '@zonemesh/core/explain/sources.ts'
import { list, option, text } from '@zonemesh/plane/config/options.ts'
import { clientOptions, createClient } from '../base/client.ts'
import { CommandError, type Context, defineCommand } from '../base/command.ts'
import { textOrJson } from '../base/output-form.ts'
import { findSceneHere } from '../base/running-scene.ts'
import { type TargetValues, targetOf } from '../base/target.ts'
import { sourcesFromFiles } from '../explain/from-files.ts'
import { sourcesFromPlanes } from '../explain/from-planes.ts'
import { explanationLines } from '../explain/show.ts'
import { jsonText } from '../output/terminal-text.ts'

/** The options of the commands that follow a request. */
export const wayOptions = {
  from: option(text, 'where the request enters: a zone and a gateway or a sidecar of it (its name or its service)', {
    placeholder: 'ZONE/GATEWAY',
  }),
  zone: option(list.default([]), 'the API of a zone, which is asked directly; the global asks all other zones', {
    placeholder: 'NAME=URL',
    repeated: true,
  }),
  method: option(text.default('GET'), 'the method of the request', { placeholder: 'METHOD', shownDefault: 'GET' }),
  header: option(list.default([]), 'a header of the request', {
    placeholder: 'NAME:VALUE',
    repeated: true,
    short: 'H',
  }),
  files: option(list.default([]), 'explain the effect of these files, without calling a plane', {
    placeholder: 'PATH',
    repeated: true,
  }),
  var: option(list.default([]), 'a value for {{NAME}} in the files', { placeholder: 'NAME=VALUE', repeated: true }),
  ...clientOptions,
}

interface WayValues extends TargetValues {
  readonly from: string
  readonly zone: readonly string[]
  readonly method: string
  readonly header: readonly string[]
  readonly files: readonly string[]
  readonly var: readonly string[]
}

function pair(flag: string, given: string, between: string): readonly [string, string] {
  const at = given.indexOf(between)
  if (at < 1) throw new CommandError(`${flag}: expected NAME${between}VALUE, found "${given}"`, 2)
  return [given.slice(0, at), given.slice(at + 1).trim()]
}

/** Parses the request and collects the data of the planes or files. */
export async function readWay(values: WayValues, context: Context) {
  const [zone = '', gateway = '', ...rest] = values.from.split('/')
  if (zone === '' || gateway === '' || rest.length > 0)
    throw new CommandError(`--from: expected ZONE/GATEWAY, found "${values.from}"`, 2)
  const headers = Object.fromEntries(values.header.map((one) => pair('--header', one, ':')))
  const request = readRequest(context.positionals[0] ?? '', { method: values.method, headers })
  if (!request.ok) throw new CommandError(request.error, 2)
  return { request: request.value, from: { zone, gateway }, sources: await sourcesOf(values, zone, context) }
}

async function sourcesOf(values: WayValues, home: string, { note }: Context): Promise<Sources> {
  if (values.files.length > 0)
    return sourcesFromFiles(values.files, Object.fromEntries(values.var.map((one) => pair('--var', one, '='))), home)
  const given = values.zone.map((one) => pair('--zone', one, '=')[1])
  const scene = findSceneHere()
  const target = targetOf(values)
  const known = scene?.globalAddress === target.address ? Object.values(scene.zones) : []
  const addresses = [target.address, ...(given.length > 0 ? given : known)]
  return sourcesFromPlanes(
    addresses.map((address) => createClient({ ...target, address })),
    note,
  )
}

export const explain = defineCommand({
  name: 'explain',
  summary:
    'follow a request from a gateway or a sidecar to the service that answers it, also into another mesh, and name the first problem',
  usage: 'URL --from ZONE/GATEWAY [--zone NAME=URL…] [--files PATH…]',
  examples: [
    'zonemesh explain http://shop.example.com:8080/cart --from east/edge-gateway',
    'zonemesh explain https://shop.example.com/cart --from east/edge-gateway --files ./mesh -H "version: two"',
  ],
  arity: { min: 1, max: 1 },
  options: {
    ...wayOptions,
    output: textOrJson,
  },
  async run(values, context) {
    const { request, from, sources } = await readWay(values, context)
    const explanation = explainRequest(request, from, sources)
    if (values.output === 'json') context.print(jsonText(explanation))
    else for (const line of explanationLines(explanation)) context.print(line)
    return explanation.mismatch ? 1 : 0
  },
})
