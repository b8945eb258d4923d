import { zoneOptions } from '@zonemesh/zone/options.ts'
import { publishAdminKey } from '../base/admin-keys.ts'
import { CommandError, defineCommand } from '../base/command.ts'
import { requireFreePorts } from '../base/free-ports.ts'
import { readJoin } from '../base/join.ts'
import { createEnv, untilStopped } from '../base/process.ts'

export const zone = defineCommand({
  name: 'zone',
  summary: 'run a zone control plane: joined to a global, or standalone with --name',
  usage: '(--join STRING|FILE | --name NAME) [--data-dir DIR]',
  examples: [
    'zonemesh zone --join east.join --data-dir ./east',
    'zonemesh zone --name home --data-dir ./home',
    'zonemesh zone release east',
    'zonemesh zone keep east',
    'zonemesh zone forget east',
  ],
  arity: { min: 0, max: 0 },
  options: zoneOptions,
  async run(values, { signal }) {
    const given = readJoin(values)
    if (given === undefined && values.name === undefined) {
      throw new CommandError(
        'give --join with the output of `zonemesh token zone NAME` on the global, or --name for a standalone zone',
        2,
      )
    }
    const { host, dnsHost = host, proxyPort, dnsPort } = values
    const dns = { what: 'DNS', host: dnsHost, port: dnsPort, option: '--dns-port', hostOption: '--dns-host' }
    await requireFreePorts(values, [
      { what: 'proxies', host, port: proxyPort, option: '--proxy-port' },
      { ...dns, protocols: ['udp', 'tcp'] },
    ])
    const env = createEnv(values.logLevel, 'zone')
    // Loaded only now: help and wrong use do not wait for it.
    const { startZone } = await import('@zonemesh/zone/zone.ts')
    const running = await startZone(env, { ...values, joinFile: given?.file }, given?.join, zoneOptions)
    using _published = publishAdminKey(env.log, [running.apiPort, running.apiTlsPort], running.adminKey)
    await untilStopped(env, signal, () => running.close())
    return 0
  },
})
