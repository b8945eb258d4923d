import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createClient } from '@zonemesh/cli/base/client.ts'
import { apply } from '@zonemesh/cli/commands/apply.ts'
import { readOptions } from '@zonemesh/plane/config/options.ts'
import { messageOf } from '@zonemesh/shared/base/base.ts'
import { afterAll, beforeAll, test } from 'vitest'
import {
  clientOf,
  createUser,
  startTestGlobal,
  startTestZone,
  stoppedTestZone,
} from '../../../packages/cli/test/rig.ts'
import { expectPage, type Shown } from './text.ts'

const stack = new AsyncDisposableStack()
let address: string
let folder: string

beforeAll(async () => {
  const user = stack.use(createUser())
  folder = user.home
  const global = await startTestGlobal()
  stack.defer(() => global.close())
  address = `http://127.0.0.1:${global.apiPort}`
  const east = await startTestZone(global, 'east')
  stack.defer(() => east.close())
  await stoppedTestZone(global, 'west')
  await clientOf(global).need('PUT', '/zones/north', { type: 'Zone', name: 'north', enabled: true })
  const zone = createClient({
    ...{ token: undefined, tokenFile: undefined, caCertFile: undefined },
    address: `http://127.0.0.1:${east.apiPort}`,
  })
  await zone.need('PUT', '/meshes/default/dataplanes/gateway-1', {
    ...{ type: 'Dataplane', mesh: 'default', name: 'gateway-1' },
    networking: { address: '10.0.0.3', gateway: { type: 'BUILTIN', tags: { 'kuma.io/service': 'edge' } } },
  })
})
afterAll(() => stack.disposeAsync())

/** Applies a file with these documents. */
async function shown(title: string, text: string, ...args: readonly string[]): Promise<Shown> {
  const file = join(folder, 'mesh.yaml')
  writeFileSync(file, text)
  const read = readOptions(apply.options, ['-f', file, '--address', address, ...args], {})
  if (!read.ok) throw new Error(read.error.message)
  const lines: string[] = []
  // A terminal shows both outputs in the order in which the command writes them.
  const show = (line: string) => void lines.push(line.replaceAll(`${folder}/`, ''))
  await apply
    .run(read.value.values, { positionals: [], signal: new AbortController().signal, print: show, note: show })
    .catch((thrown: unknown) => show(`zonemesh apply: ${messageOf(thrown)}`))
  return { title, command: ['zonemesh apply -f mesh.yaml', ...args].join(' '), lines }
}

const timeout = (name: string, connect: string) => `type: Timeout
mesh: default
name: ${name}
sources: [{ match: { kuma.io/service: '*' } }]
destinations: [{ match: { kuma.io/service: web } }]
conf: { connectTimeout: ${connect} }
`
const gateway = `type: MeshGateway
mesh: default
name: edge
selectors: [{ match: { kuma.io/service: edge } }]
conf: { listeners: [{ port: 8080, protocol: HTTP, hostname: shop.example }] }
`
const route = (service: string) => `type: MeshGatewayRoute
mesh: default
name: shop
selectors: [{ match: { kuma.io/service: edge } }]
conf:
  http:
    rules:
      - matches: [{ path: { match: PREFIX, value: / } }]
        backends: [{ weight: 1, destination: { kuma.io/service: ${service} } }]
`
const both = (...documents: readonly string[]): string => documents.join('---\n')

test('B92 apply equals its golden text: outcomes, refusals, warnings, plans and receipts', async () => {
  const shownOnes: Shown[] = []
  for (const [title, text, ...args] of [
    ['two new resources', both(timeout('slow', '10s'), timeout('quick', '1s'))],
    ['one changed resource', both(timeout('slow', '20s'), timeout('quick', '1s'))],
    ['one document of two is refused', both(timeout('slow', 'soon'), timeout('quick', '2s'))],
    [
      'nothing is written if one document is refused',
      both(timeout('slow', 'soon'), timeout('quick', '3s')),
      '--atomic',
    ],
    ['a document without a type, and one that is no YAML', both('name: slow\n', 'type: [\n')],
    ['a document of an unknown kind', 'type: Timeuot\nmesh: default\nname: slow\n'],
    [
      'a resource that belongs to zones',
      'type: Dataplane\nmesh: default\nname: web-1\nnetworking: { address: 10.0.0.1, inbound: [{ port: 80, tags: { kuma.io/service: web } }] }\n',
    ],
    ['a mesh that does not exist', timeout('slow', '1s').replace('mesh: default', 'mesh: shop')],
    [
      'a field that is not served',
      'type: Mesh\nname: default\nmetrics: { enabledBackend: prometheus, backends: [{ name: prometheus, type: prometheus }] }\n',
    ],
    ['a plan', both(timeout('slow', '30s'), timeout('new', '1s'), timeout('quick', '2s')), '--dry-run'],
    ['a gateway, with a receipt', gateway, '--wait', 'served@all'],
    ['a route to a service that does not exist, with a receipt', route('web'), '--wait', 'served@all'],
    ['a receipt of one zone that is offline', timeout('slow', '40s'), '--wait', 'served@west', '--timeout', '1ms'],
    ['a receipt that names an unknown level', timeout('slow', '50s'), '--wait', 'done'],
  ] as const)
    shownOnes.push(await shown(title, text, ...args))
  expectPage('apply', shownOnes)
})
