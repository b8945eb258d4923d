import { readFileSync } from 'node:fs'
import { option, text } from '@zonemesh/plane/config/options.ts'
import { systemClock } from '@zonemesh/shared/env/clock.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import { startControl } from '../chaos/control.ts'
import { startRelay } from '../chaos/relay.ts'
import { CommandError, defineCommand } from '../command.ts'

function hostAndPort(flag: string, given: string): { readonly host: string; readonly port: number } {
  const cut = given.lastIndexOf(':')
  const port = Number(given.slice(cut + 1))
  if (cut < 1 || !Number.isInteger(port) || port < 0 || port > 65_535)
    throw new CommandError(`${flag}: expected HOST:PORT, found "${given}"`, 2)
  return { host: given.slice(0, cut).replace(/^\[|\]$/g, ''), port }
}

export const chaosRelay = defineCommand({
  name: 'chaos relay',
  summary: 'for tests only: stand in a TCP line and hurt it on demand',
  usage: '--line NAME --listen HOST:PORT --target HOST:PORT --control HOST:PORT --token-file FILE',
  examples: [
    'zonemesh chaos relay --line east --listen 0.0.0.0:5685 --target global:5685 --control 0.0.0.0:5690 --token-file token',
  ],
  arity: { min: 0, max: 0 },
  options: {
    line: option(text.default('line'), 'how orders name this line: the zone', {
      placeholder: 'NAME',
      shownDefault: 'line',
    }),
    listen: option(text, 'where zones connect to', { placeholder: 'HOST:PORT' }),
    target: option(text, 'where the global listens', { placeholder: 'HOST:PORT' }),
    control: option(text, 'where orders are taken (HTTP)', { placeholder: 'HOST:PORT' }),
    tokenFile: option(text, 'file with the token that orders must bear', { placeholder: 'FILE' }),
  },
  async run(values, { print, signal }) {
    const [listen, target] = [hostAndPort('--listen', values.listen), hostAndPort('--target', values.target)]
    const token = readFileSync(values.tokenFile, 'utf8').trim()
    if (token === '') throw new CommandError(`--token-file: expected a token in ${values.tokenFile}, found nothing`, 2)
    const deps = { clock: systemClock, random: systemRandom }
    const given = { ...listen, targetHost: target.host, targetPort: target.port }
    await using relay = await startRelay(deps, given)
    const lines = new Map([[values.line, relay]])
    await using control = await startControl(
      { lines, supervisor: undefined },
      { ...hostAndPort('--control', values.control), token },
    )
    print(`relaying ${values.line} from ${listen.host}:${relay.port} to ${values.target}; orders at ${control.address}`)
    if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
    return 0
  },
})
