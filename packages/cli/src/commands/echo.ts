import { option, port, text } from '@zonemesh/plane/config/options.ts'
import { untilAborted } from '@zonemesh/shared/env/aborted.ts'
import { defineCommand } from '../base/command.ts'
import { startEcho } from '../scene/echo-server.ts'

export const echo = defineCommand({
  name: 'echo',
  summary: 'run a small HTTP service that answers with its name, zone and version',
  usage: '--service NAME [--zone ZONE] [--version VERSION] [--port PORT]',
  examples: ['zonemesh echo --service echo_demo_svc_8080 --zone west --version v1 --port 8080'],
  arity: { min: 0, max: 0 },
  options: {
    service: option(text.default('echo'), 'its name in answers', { placeholder: 'NAME', shownDefault: 'echo' }),
    zone: option(text.default(''), 'its zone in answers and in the header x-zone', { placeholder: 'ZONE' }),
    version: option(text.default(''), 'its version in answers and in the header x-version', { placeholder: 'VERSION' }),
    host: option(text.default('127.0.0.1'), 'the address on which it listens', {
      placeholder: 'ADDRESS',
      shownDefault: '127.0.0.1',
    }),
    port: option(port.default(8080), 'the port on which it listens', { placeholder: 'PORT', shownDefault: '8080' }),
  },
  async run({ service, zone, version, host, port: listen }, { signal, note }) {
    const server = await startEcho({ service, zone, version }, host, listen)
    note(`${service} listens on ${host}:${listen}`)
    await untilAborted(signal)
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
    return 0
  },
})
