import { globalOptions } from '@zonemesh/global/options.ts'
import { publishAdminKey } from '../base/admin-keys.ts'
import { defineCommand } from '../base/command.ts'
import { requireFreePorts } from '../base/free-ports.ts'
import { createEnv, untilStopped } from '../base/process.ts'

export const global = defineCommand({
  name: 'global',
  summary: 'run the global control plane: it owns the policies and syncs them to the zones',
  usage: '[--data-dir DIR]',
  examples: ['zonemesh global --data-dir ./global', 'zonemesh token zone east > east.join'],
  arity: { min: 0, max: 0 },
  options: globalOptions,
  async run(values, { signal }) {
    await requireFreePorts(values, [{ what: 'zones', host: values.host, port: values.syncPort, option: '--sync-port' }])
    const env = createEnv(values.logLevel, 'global')
    // Loaded only now: help and wrong use do not wait for it.
    const { startGlobal } = await import('@zonemesh/global/global.ts')
    const running = await startGlobal(env, values, globalOptions)
    using _published = publishAdminKey(env.log, [running.apiPort, running.apiTlsPort], running.adminKey)
    await untilStopped(env, signal, () => running.close())
    return 0
  },
})
