import { CommandError, defineCommand } from '../base/command.ts'
import { findDemo } from '../demo/folder.ts'

const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`

export const demoEnv = defineCommand({
  name: 'demo env',
  summary: 'print settings for a shell, with which commands find the running demo',
  usage: '',
  examples: ['eval "$(zonemesh demo env)"', 'eval "$(zonemesh demo env)"; zonemesh status'],
  arity: { min: 0, max: 0 },
  options: {},
  async run(_values, { print }) {
    const demo = findDemo()
    if (!demo) throw new CommandError('no demo of this user runs; start one with: zonemesh demo')
    const { globalAddress, tokenFile, gateway, host, resolver } = demo.places
    const settings = {
      ZONEMESH_ADDRESS: globalAddress,
      ZONEMESH_TOKEN_FILE: tokenFile,
      GATEWAY: gateway,
      SHOP: host,
      RESOLVER: resolver,
    }
    for (const [name, value] of Object.entries(settings)) print(`export ${name}=${quoted(value)}`)
    return 0
  },
})
