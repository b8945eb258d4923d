import { decodeJoin } from '@zonemesh/shared/auth/join.ts'
import { zoneOptions } from '@zonemesh/zone/options.ts'
import { publishAdminKey } from '../base/admin-keys.ts'
import { readText } from '../base/client.ts'
import { CommandError, defineCommand } from '../base/command.ts'
import { createEnv, untilStopped } from '../base/process.ts'

export const zone = defineCommand({
  name: 'zone',
  summary: 'run a zone control plane: joined to a global, or standalone with --name',
  usage: '(--join STRING | --join-file FILE | --name NAME) [--data-dir DIR]',
  examples: [
    'zonemesh zone --join-file east.join --data-dir ./east',
    'zonemesh zone --name home --data-dir ./home',
    'zonemesh zone release east',
    'zonemesh zone keep east',
    'zonemesh zone forget east',
  ],
  arity: { min: 0, max: 0 },
  options: zoneOptions,
  async run(values, { signal }) {
    const text = values.join ?? (values.joinFile === undefined ? undefined : readText(values.joinFile))
    if (text === undefined && values.name === undefined) {
      throw new CommandError(
        'give --join or --join-file (from `zonemesh token zone NAME` on the global), or --name for a standalone zone',
        2,
      )
    }
    const join = text === undefined ? undefined : decodeJoin(text.trim())
    if (join && !join.ok) throw new CommandError(`the join string is not valid: ${join.error}`, 2)
    const env = createEnv(values.logLevel, 'zone')
    // Loaded only now: help and wrong use do not wait for it.
    const { startZone } = await import('@zonemesh/zone/zone.ts')
    const running = await startZone(env, values, join?.value, zoneOptions)
    using _published = publishAdminKey(env.log, [running.apiPort, running.apiTlsPort], running.adminKey)
    await untilStopped(env, signal, () => running.close())
    return 0
  },
})
