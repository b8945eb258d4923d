import { readFileSync } from 'node:fs'
import { list, option, text } from '@zonemesh/plane/config/options.ts'
import { untilAborted } from '@zonemesh/shared/env/aborted.ts'
import { systemClock } from '@zonemesh/shared/env/clock.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import { CommandError, defineCommand } from '../base/command.ts'
import { startControl } from '../chaos/control.ts'
import { type Relay, startRelay } from '../chaos/relay.ts'

function hostAndPort(flag: string, given: string): { readonly host: string; readonly port: number } {
  const cut = given.lastIndexOf(':')
  const port = Number(given.slice(cut + 1))
  if (cut < 1 || !Number.isInteger(port) || port < 0 || port > 65_535)
    throw new CommandError(`${flag}: expected HOST:PORT, found "${given}"`, 2)
  return { host: given.slice(0, cut).replace(/^\[|\]$/g, ''), port }
}

function lineAndPlace(given: string) {
  const [, name = '', place = ''] = /^([^=]+)=(.+)$/.exec(given) ?? []
  if (name === '') throw new CommandError(`--line: expected NAME=HOST:PORT, found "${given}"`, 2)
  return { name, ...hostAndPort(`--line ${name}`, place) }
}

export const chaosRelay = defineCommand({
  name: 'chaos relay',
  summary: 'for tests only: relay a TCP line and inject faults on demand',
  usage: '--line NAME=HOST:PORT… --target HOST:PORT --control HOST:PORT --token-file FILE',
  examples: [
    'zonemesh chaos relay --line east=0.0.0.0:5685 --line west=0.0.0.0:5686 --target global:5685 --control 127.0.0.1:5690 --token-file token',
  ],
  arity: { min: 0, max: 0 },
  options: {
    line: option(list, 'a line: the zone that names it, and the address to which that zone connects', {
      placeholder: 'NAME=HOST:PORT',
      repeated: true,
    }),
    target: option(text, 'the address of the global', { placeholder: 'HOST:PORT' }),
    control: option(text, 'the address that accepts orders (HTTP)', { placeholder: 'HOST:PORT' }),
    tokenFile: option(text, 'file with the token that orders must have', { placeholder: 'FILE' }),
  },
  async run(values, { print, signal }) {
    const target = hostAndPort('--target', values.target)
    const places = values.line.map(lineAndPlace)
    const token = readFileSync(values.tokenFile, 'utf8').trim()
    if (token === '') throw new CommandError(`--token-file: expected a token in ${values.tokenFile}, found nothing`, 2)
    const deps = { clock: systemClock, random: systemRandom }
    await using relays = new AsyncDisposableStack()
    const lines = new Map<string, Relay>()
    for (const { name, host, port } of places) {
      if (lines.has(name)) throw new CommandError(`--line: "${name}" is given twice`, 2)
      const relay = await startRelay(deps, { host, port, targetHost: target.host, targetPort: target.port })
      lines.set(name, relays.use(relay))
      print(`relaying ${name} from ${host}:${relay.port} to ${values.target}`)
    }
    await using control = await startControl(
      { lines, supervisor: undefined },
      { ...hostAndPort('--control', values.control), token },
    )
    print(`orders at ${control.address}`)
    await untilAborted(signal)
    return 0
  },
})
