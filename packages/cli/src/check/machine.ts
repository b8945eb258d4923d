import { execFile } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { statfs } from 'node:fs/promises'
import { networkInterfaces, totalmem } from 'node:os'
import { dirname } from 'node:path'
import { promisify } from 'node:util'
import { pinnedEnvoy, presentEnvoy } from '@zonemesh/dataplane/envoy/find.ts'
import { messageOf } from '@zonemesh/shared/base/base.ts'
import { type Finding, failed, ok, warning } from './finding.ts'

const megabyte = 1_000_000

/** What a machine offers to planes and proxies. Undefined where the system does not report it. */
export interface MachineFacts {
  readonly node: string
  /** Operating system and architecture, as Node names them. */
  readonly platform: string
  readonly envoy: { readonly path: string; readonly version: string | undefined } | undefined
  /** Why the Envoy that is named cannot be used. */
  readonly envoyFault?: string
  readonly dataFolder: string
  readonly freeBytes: number
  readonly openFiles: number | undefined
  readonly memoryBytes: number
  readonly isMemoryLimited: boolean
  /** The lowest port that a user other than root may open. */
  readonly firstFreePort: number | undefined
  readonly isRoot: boolean
  readonly hasIpv6: boolean
}

/** Reads the facts of this machine. `dataFolder` need not exist yet. */
export async function readMachine(dataFolder: string, environment: NodeJS.ProcessEnv): Promise<MachineFacts> {
  const found = await presentEnvoy(environment).catch((thrown: unknown) => new Error(messageOf(thrown)))
  const limit = process.constrainedMemory()
  const isMemoryLimited = limit > 0 && limit < totalmem()
  const { bavail, bsize } = await statfs(closestFolder(dataFolder))
  return {
    node: process.versions.node,
    platform: `${process.platform}-${process.arch}`,
    envoy: typeof found === 'string' ? { path: found, version: await envoyVersion(found) } : undefined,
    ...(found instanceof Error ? { envoyFault: found.message } : {}),
    dataFolder,
    freeBytes: bavail * bsize,
    openFiles: limitIn(readIfPresent('/proc/self/limits')),
    memoryBytes: isMemoryLimited ? limit : totalmem(),
    isMemoryLimited,
    firstFreePort: numberIn(readIfPresent('/proc/sys/net/ipv4/ip_unprivileged_port_start')),
    isRoot: process.getuid?.() === 0,
    hasIpv6: Object.values(networkInterfaces()).some((list) => list?.some(({ family }) => family === 'IPv6')),
  }
}

function closestFolder(folder: string): string {
  return existsSync(folder) || dirname(folder) === folder ? folder : closestFolder(dirname(folder))
}

function readIfPresent(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    // Only Linux has this file.
    return ''
  }
}

const numberIn = (text: string): number | undefined => (/^\d+\s*$/.test(text) ? Number(text) : undefined)

/** The soft limit of open files in `/proc/self/limits`. */
function limitIn(limits: string): number | undefined {
  const value = /^Max open files +(\d+|unlimited)/m.exec(limits)?.[1]
  return value === 'unlimited' ? Number.MAX_SAFE_INTEGER : value === undefined ? undefined : Number(value)
}

/** `envoy  version: 3d64…/1.40.0/Clean/RELEASE/BoringSSL` → `1.40.0`. Undefined if it does not run. */
async function envoyVersion(path: string): Promise<string | undefined> {
  try {
    const { stdout } = await promisify(execFile)(path, ['--version'], { timeout: 10_000 })
    return /\/(\d+\.\d+\.\d+)/.exec(stdout)?.[1]
  } catch {
    return undefined
  }
}

/** Judges the facts of a machine. */
export const judgeMachine = (facts: MachineFacts): readonly Finding[] => [
  nodeFinding(facts),
  platformFinding(facts),
  envoyFinding(facts),
  diskFinding(facts),
  openFilesFinding(facts),
  memoryFinding(facts),
  portsFinding(facts),
  ok('IPv6', facts.hasIpv6 ? 'this machine has addresses' : 'off; addresses of IPv6 in resources are not reached'),
]

const nodeFinding = ({ node }: MachineFacts): Finding =>
  Number(node.split('.')[0]) >= 24
    ? ok('Node', node)
    : failed('Node', `expected 24 or newer, found ${node}`, 'install Node 24, or use a package that includes it')

function platformFinding({ platform, envoy }: MachineFacts): Finding {
  const known = pinnedEnvoy.builds.map((build) => build.platform)
  if (known.includes(platform)) return ok('architecture', platform)
  const found = `${platform}; Envoy is available for ${known.join(', ')}`
  const remedy = 'name an Envoy for this machine in ZONEMESH_ENVOY; planes run without one'
  return envoy ? warning('architecture', found, remedy) : failed('architecture', found, remedy)
}

function envoyFinding({ envoy, envoyFault }: MachineFacts): Finding {
  if (envoyFault !== undefined)
    return failed('Envoy', envoyFault, 'correct ZONEMESH_ENVOY, or unset it and use `zonemesh envoy install`')
  if (!envoy)
    return warning(
      'Envoy',
      'none found; the first proxy downloads it with pip',
      'install it before with `zonemesh envoy install`, or without a network with --from FILE',
    )
  const { path, version } = envoy
  const install = `install the version that is tested with \`zonemesh envoy install\`, or name another in ZONEMESH_ENVOY`
  if (version === undefined) return failed('Envoy', `${path} does not run`, install)
  if (version === pinnedEnvoy.version) return ok('Envoy', `${version} at ${path}`)
  return warning('Envoy', `expected ${pinnedEnvoy.version}, found ${version} at ${path}`, install)
}

/** Judges an amount: below `least` it fails, below `enough` it is a warning. */
function amountFinding(check: string, amount: number, least: number, enough: number, found: string, remedy: string) {
  if (amount < least) return failed(check, found, remedy)
  return amount < enough ? warning(check, found, remedy) : ok(check, found)
}

const sized = (bytes: number): string =>
  bytes >= 1_000 * megabyte ? `${(bytes / 1e9).toFixed(1)} GB` : `${Math.floor(bytes / megabyte)} MB`

const diskFinding = ({ freeBytes, dataFolder }: MachineFacts): Finding =>
  amountFinding(
    'disk',
    ...([freeBytes, 100 * megabyte, 1_000 * megabyte] as const),
    `${sized(freeBytes)} free for ${dataFolder}`,
    'free some space, or choose another folder with --data-dir: a store on a full disk takes no writes',
  )

function openFilesFinding({ openFiles }: MachineFacts): Finding {
  if (openFiles === undefined) return ok('open files', 'this system reports no limit')
  const shown = openFiles === Number.MAX_SAFE_INTEGER ? 'unlimited' : `at most ${openFiles}`
  return amountFinding('open files', openFiles, 512, 4_096, shown, 'raise the limit with `ulimit -n 65536`')
}

const memoryFinding = ({ memoryBytes, isMemoryLimited }: MachineFacts): Finding =>
  amountFinding(
    'memory',
    ...([memoryBytes, 256 * megabyte, 1_000 * megabyte] as const),
    `${sized(memoryBytes)}${isMemoryLimited ? ', the limit of the control group' : ''}`,
    'give this machine or container more memory: a plane needs about 150 MB, an Envoy 60 MB',
  )

function portsFinding({ firstFreePort, isRoot }: MachineFacts): Finding {
  if (firstFreePort === undefined || isRoot) return ok('low ports', 'this user may open every port')
  return ok('low ports', `this user may open ports from ${firstFreePort}`)
}
