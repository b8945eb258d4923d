import { nearest } from '@zonemesh/core/kinds/kind.ts'
import { readOptions } from '@zonemesh/plane/config/options.ts'
import { messageOf } from '@zonemesh/shared/base/base.ts'
import { type Command, CommandError, type Context, type ExitCode } from './base/command.ts'
import { helpText, overviewText } from './help.ts'
import { columns } from './output/table.ts'
import { terminalText } from './output/terminal-text.ts'

/** Each command is loaded only when it runs, so that `get` does not load Envoy's types. */
const loaders: Readonly<
  Record<string, { readonly summary: string; readonly group: string; load(): Promise<Command> }>
> = {
  demo: {
    group: 'Start here',
    summary: 'run a global, two zones and their proxies on this machine, and prove that a request crosses',
    load: async () => (await import('./commands/demo.ts')).demo,
  },
  'demo env': {
    group: 'Start here',
    summary: 'print settings for a shell, with which commands find the running demo',
    load: async () => (await import('./commands/demo-env.ts')).demoEnv,
  },
  init: {
    group: 'Start here',
    summary: 'write a commented scene file to start with',
    load: async () => (await import('./commands/init.ts')).init,
  },
  up: {
    group: 'Start here',
    summary: 'start a scene on this machine: a global, zones, proxies and policies',
    load: async () => (await import('./commands/up.ts')).up,
  },
  logs: {
    group: 'Start here',
    summary: 'show the log of a process of the scene',
    load: async () => (await import('./commands/logs.ts')).logs,
  },
  down: {
    group: 'Start here',
    summary: 'stop the scene',
    load: async () => (await import('./commands/down.ts')).down,
  },
  global: {
    group: 'Run',
    summary: 'run the global control plane',
    load: async () => (await import('./commands/global.ts')).global,
  },
  'global recover': {
    group: 'Run',
    summary: 'rebuild a lost global from its zones',
    load: async () => (await import('./commands/global-recover.ts')).globalRecover,
  },
  zone: {
    group: 'Run',
    summary: 'run a zone control plane, or a standalone one',
    load: async () => (await import('./commands/zone.ts')).zone,
  },
  dataplane: {
    group: 'Run',
    summary: 'run a proxy: Envoy and its name resolver',
    load: async () => (await import('./commands/dataplane.ts')).dataplane,
  },
  apply: {
    group: 'Use',
    summary: 'create or change resources from YAML',
    load: async () => (await import('./commands/apply.ts')).apply,
  },
  get: { group: 'Use', summary: 'show resources', load: async () => (await import('./commands/get.ts')).get },
  describe: {
    group: 'Use',
    summary: 'show everything about one resource',
    load: async () => (await import('./commands/describe.ts')).describe,
  },
  'api-resources': {
    group: 'Use',
    summary: 'list the kinds of resources',
    load: async () => (await import('./commands/api-resources.ts')).apiResources,
  },
  delete: {
    group: 'Use',
    summary: 'delete resources',
    load: async () => (await import('./commands/delete.ts')).remove,
  },
  edit: {
    group: 'Use',
    summary: 'change a resource in your editor',
    load: async () => (await import('./commands/edit.ts')).edit,
  },
  dump: {
    group: 'Use',
    summary: 'write resources into a folder, one file each',
    load: async () => (await import('./commands/dump.ts')).dump,
  },
  sync: {
    group: 'Use',
    summary: 'make a control plane equal to a folder',
    load: async () => (await import('./commands/sync.ts')).sync,
  },
  history: {
    group: 'Use',
    summary: 'show who changed what, when and why, and which zones ran it',
    load: async () => (await import('./commands/history.ts')).history,
  },
  diff: {
    group: 'Use',
    summary: 'show what differs between two revisions',
    load: async () => (await import('./commands/diff.ts')).diff,
  },
  rollback: {
    group: 'Use',
    summary: 'restore resources to a revision',
    load: async () => (await import('./commands/rollback.ts')).rollback,
  },
  validate: {
    group: 'Use',
    summary: 'check YAML without a control plane',
    load: async () => (await import('./commands/validate.ts')).validate,
  },
  status: {
    group: 'Use',
    summary: 'show zones, proxies, and what is not served as written',
    load: async () => (await import('./commands/status.ts')).status,
  },
  top: {
    group: 'Use',
    summary: 'show zones and the traffic of the proxies on this machine, live',
    load: async () => (await import('./commands/top.ts')).top,
  },
  check: {
    group: 'Use',
    summary: 'check this machine, and the planes that it reaches',
    load: async () => (await import('./commands/check.ts')).check,
  },
  sysdump: {
    group: 'Use',
    summary: 'write one archive for a bug report, without secrets',
    load: async () => (await import('./commands/sysdump.ts')).sysdump,
  },
  explain: {
    group: 'Use',
    summary: 'follow a request through the mesh and name the first problem',
    load: async () => (await import('./commands/explain.ts')).explain,
  },
  doctor: {
    group: 'Use',
    summary: 'explain a request, then try it',
    load: async () => (await import('./commands/doctor.ts')).doctor,
  },
  'proxy config': {
    group: 'Use',
    summary: 'show the configuration of a proxy, and what its Envoy runs',
    load: async () => (await import('./commands/proxy.ts')).proxyConfig,
  },
  'proxy clusters': {
    group: 'Use',
    summary: 'show the clusters of the Envoy of a proxy',
    load: async () => (await import('./commands/proxy.ts')).proxyClusters,
  },
  'proxy listeners': {
    group: 'Use',
    summary: 'show the listeners of the Envoy of a proxy',
    load: async () => (await import('./commands/proxy.ts')).proxyListeners,
  },
  'proxy stats': {
    group: 'Use',
    summary: 'show the statistics of the Envoy of a proxy',
    load: async () => (await import('./commands/proxy.ts')).proxyStats,
  },
  'zone release': {
    group: 'Use',
    summary: 'release what a zone holds back',
    load: async () => (await import('./commands/zone-guards.ts')).zoneRelease,
  },
  'zone keep': {
    group: 'Use',
    summary: 'keep the remaining rows of a zone whose store was lost',
    load: async () => (await import('./commands/zone-guards.ts')).zoneKeep,
  },
  'zone forget': {
    group: 'Use',
    summary: 'remove all rows of a deleted zone',
    load: async () => (await import('./commands/zone-guards.ts')).zoneForget,
  },
  resolve: {
    group: 'Use',
    summary: 'look up a name at a resolver',
    load: async () => (await import('./commands/resolve.ts')).resolve,
  },
  'token zone': {
    group: 'Use',
    summary: 'make a token (or a join string) for a zone and create the Zone',
    load: async () => (await import('./commands/token.ts')).tokenZone,
  },
  'token dataplane': {
    group: 'Use',
    summary: 'make a token (or a join string) for a proxy',
    load: async () => (await import('./commands/token.ts')).tokenDataplane,
  },
  'token user': {
    group: 'Use',
    summary: 'make a token for a person or a program',
    load: async () => (await import('./commands/token.ts')).tokenUser,
  },
  'context add': {
    group: 'Use',
    summary: 'store a control plane and its credentials under a name',
    load: async () => (await import('./commands/context.ts')).contextAdd,
  },
  'context use': {
    group: 'Use',
    summary: 'choose the context of commands that name no control plane',
    load: async () => (await import('./commands/context.ts')).contextUse,
  },
  'context list': {
    group: 'Use',
    summary: 'show the stored contexts',
    load: async () => (await import('./commands/context.ts')).contextList,
  },
  'context remove': {
    group: 'Use',
    summary: 'forget a context with its credentials',
    load: async () => (await import('./commands/context.ts')).contextRemove,
  },
  'context show': {
    group: 'Use',
    summary: 'show which control plane commands in this folder use, and why',
    load: async () => (await import('./commands/context.ts')).contextShow,
  },
  'chaos partition': {
    group: 'Inject faults (tests)',
    summary: 'drop all bytes between a zone and the global, and check the guarantees',
    load: async () => (await import('./commands/chaos.ts')).chaosPartition,
  },
  'chaos kill': {
    group: 'Inject faults (tests)',
    summary: 'kill a plane, start it again, and check the guarantees',
    load: async () => (await import('./commands/chaos.ts')).chaosKill,
  },
  'chaos pause': {
    group: 'Inject faults (tests)',
    summary: 'pause a plane, and check the guarantees',
    load: async () => (await import('./commands/chaos.ts')).chaosPause,
  },
  'chaos disconnect': {
    group: 'Inject faults (tests)',
    summary: 'take a container off its networks, and check the guarantees',
    load: async () => (await import('./commands/chaos.ts')).chaosDisconnect,
  },
  'chaos half-open': {
    group: 'Inject faults (tests)',
    summary: 'replace the global while the connection of a zone stays half-open, and check the guarantees',
    load: async () => (await import('./commands/chaos.ts')).chaosHalfOpen,
  },
  'chaos flap': {
    group: 'Inject faults (tests)',
    summary: 'interrupt the line of a zone repeatedly, and check the guarantees',
    load: async () => (await import('./commands/chaos.ts')).chaosFlap,
  },
  'chaos slow': {
    group: 'Inject faults (tests)',
    summary: 'limit the rate between a zone and the global, and check the guarantees',
    load: async () => (await import('./commands/chaos.ts')).chaosSlow,
  },
  'chaos delay': {
    group: 'Inject faults (tests)',
    summary: 'delay the line between a zone and the global, and check the guarantees',
    load: async () => (await import('./commands/chaos.ts')).chaosDelay,
  },
  'chaos loss': {
    group: 'Inject faults (tests)',
    summary: 'lose packets between a zone and the global, and check the guarantees',
    load: async () => (await import('./commands/chaos.ts')).chaosLoss,
  },
  'chaos flush': {
    group: 'Inject faults (tests)',
    summary: 'remove all keys from Redis, and check the guarantees',
    load: async () => (await import('./commands/chaos.ts')).chaosFlush,
  },
  'chaos clock': {
    group: 'Inject faults (tests)',
    summary: 'give a plane another wall clock, and check the guarantees',
    load: async () => (await import('./commands/chaos.ts')).chaosClock,
  },
  'chaos restore-old-store': {
    group: 'Inject faults (tests)',
    summary: "replace the global's store by an older copy, and check the guarantees",
    load: async () => (await import('./commands/chaos.ts')).chaosRestore,
  },
  'chaos suite': {
    group: 'Inject faults (tests)',
    summary: 'replay real outages as scenarios, and check the guarantees',
    load: async () => (await import('./commands/chaos-suite.ts')).chaosSuite,
  },
  'chaos random': {
    group: 'Inject faults (tests)',
    summary: 'inject several faults drawn from a seed, and check the guarantees',
    load: async () => (await import('./commands/chaos-suite.ts')).chaosRandom,
  },
  'chaos relay': {
    group: 'Inject faults (tests)',
    summary: 'for tests only: relay a TCP line and inject faults on demand',
    load: async () => (await import('./commands/chaos-relay.ts')).chaosRelay,
  },
  echo: {
    group: 'Run',
    summary: 'run a small HTTP service that answers with its name, zone and version',
    load: async () => (await import('./commands/echo.ts')).echo,
  },
  'envoy install': {
    group: 'Run',
    summary: 'install Envoy, from a file or by download',
    load: async () => (await import('./commands/envoy.ts')).envoyInstall,
  },
  'envoy path': {
    group: 'Run',
    summary: 'show which Envoy the commands of this user run',
    load: async () => (await import('./commands/envoy.ts')).envoyPath,
  },
  schema: {
    group: 'Use',
    summary: 'print the JSON Schema of a kind, of all kinds, or of scene files',
    load: async () => (await import('./commands/schema.ts')).schema,
  },
  completion: {
    group: 'Use',
    summary: 'print a script that completes commands in bash, zsh or fish',
    load: async () => (await import('./commands/completion.ts')).completion,
  },
  version: {
    group: 'Use',
    summary: 'show the version of the command and of a control plane',
    load: async () => (await import('./commands/version.ts')).version,
  },
}

/** All commands, for the reference page. */
export const loadCommands = (): Promise<Command[]> => Promise.all(Object.values(loaders).map((one) => one.load()))

function findName(args: readonly string[]): { name: string; rest: readonly string[] } | undefined {
  const two = args.slice(0, 2).join(' ')
  if (loaders[two]) return { name: two, rest: args.slice(2) }
  const [one = ''] = args
  return loaders[one] ? { name: one, rest: args.slice(1) } : undefined
}

/** Runs one command and returns its exit code. Errors are printed as one line on stderr. */
export async function runCommandLine(args: readonly string[], signal: AbortSignal): Promise<ExitCode> {
  const print = (line: string) => void process.stdout.write(`${terminalText(line)}\n`)
  const note = (line: string) => void process.stderr.write(`${terminalText(line, false)}\n`)
  const [first, ...others] = args
  if (first === '__complete') {
    const { candidates } = await import('./complete.ts')
    for (const line of await candidates(loaders, others)) print(line)
    return 0
  }
  if (first === 'help' && others.length > 0) return runCommandLine([...others, '--help'], signal)
  if (first === undefined || first === '--help' || first === '-h' || first === 'help') {
    print(overviewText(loaders))
    return first === undefined ? 2 : 0
  }
  const found = findName(first === '--version' || first === '-v' ? ['version', ...others] : args)
  if (!found) {
    const subcommands = Object.keys(loaders).filter((name) => name.startsWith(`${first} `))
    if (subcommands.length > 0) {
      const asked = args.includes('--help') || args.includes('-h')
      const lines = columns(subcommands.map((name) => [`  ${name}`, loaders[name]?.summary ?? '']))
      ;(asked ? print : note)(`Usage: zonemesh ${first} …\n\n${lines.join('\n')}`)
      return asked ? 0 : 2
    }
    const candidate = nearest(first, Object.keys(loaders))
    note(
      `zonemesh: unknown command "${first}"${candidate ? `; did you mean "${candidate}"?` : ''} (zonemesh --help lists them)`,
    )
    return 2
  }
  const command = await loaders[found.name]?.load()
  if (!command) return 2
  if (found.rest.includes('--help') || found.rest.includes('-h')) {
    print(helpText(command))
    return 0
  }
  const read = readOptions(command.options, found.rest, process.env)
  const misuse = (message: string): ExitCode => {
    note(`zonemesh ${command.name}: ${message}\nUsage: zonemesh ${command.name} ${command.usage} (see --help)`)
    return 2
  }
  if (!read.ok) return misuse(read.error.message)
  const { values, positionals } = read.value
  if (positionals.length < command.arity.min) return misuse('an argument is missing')
  if (positionals.length > command.arity.max) return misuse(`unexpected "${positionals[command.arity.max]}"`)
  const context: Context = { positionals, signal, print, note }
  try {
    return await command.run(values, context)
  } catch (thrown) {
    note(`zonemesh ${command.name}: ${messageOf(thrown)}`)
    if (process.env['ZONEMESH_DEBUG'] && thrown instanceof Error) note(String(thrown.stack))
    return thrown instanceof CommandError ? thrown.exitCode : 1
  }
}
