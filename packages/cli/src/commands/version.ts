import { version as ownVersion } from '@zonemesh/shared/base/version.ts'
import { clientOptions, createClient } from '../base/client.ts'
import { defineCommand } from '../base/command.ts'

export const version = defineCommand({
  name: 'version',
  summary: 'show the version of this command and of the control plane it would talk to',
  usage: '[--address URL]',
  examples: ['zonemesh version'],
  arity: { min: 0, max: 0 },
  options: clientOptions,
  async run(values, { print }) {
    print(`client ${ownVersion} (Node ${process.versions.node})`)
    const client = createClient(values)
    const reply = await client.call('GET', '/').catch(() => undefined)
    const body: unknown = reply?.json
    const server: unknown = body !== null && typeof body === 'object' ? Reflect.get(body, 'version') : undefined
    print(server === undefined ? `server none at ${client.address}` : `server ${String(server)} at ${client.address}`)
    return 0
  },
})
