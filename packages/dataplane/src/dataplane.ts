import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { assert, messageOf } from '@zonemesh/shared/base/base.ts'
import { version } from '@zonemesh/shared/base/version.ts'
import { tableOf } from '@zonemesh/shared/dns/answer.ts'
import { systemServers } from '@zonemesh/shared/dns/forward.ts'
import { startDnsServer } from '@zonemesh/shared/dns/server.ts'
import { untilAborted } from '@zonemesh/shared/env/aborted.ts'
import { delay } from '@zonemesh/shared/env/clock.ts'
import { listenError } from '@zonemesh/shared/env/listen-error.ts'
import { endpointOf } from './address.ts'
import { fetchBootstrap } from './bootstrap.ts'
import type { DataplaneConfig, DataplaneDeps } from './contract.ts'
import { adminQueries } from './envoy/admin-queries.ts'
import { findEnvoy } from './envoy/find.ts'
import { type RunningEnvoy, runEnvoy } from './envoy/run.ts'
import { writeAtomic } from './files.ts'
import { type NamesHolder, openNames } from './names.ts'
import { type Claim, canBind, claimPart, partAddress } from './part.ts'
import { type Readiness, serveReadiness } from './readiness.ts'
import { type LocalProxy, readProxy } from './resource.ts'
import { openSession, type Session } from './session.ts'
import { type Found, findZone } from './trust.ts'

export interface Dataplane {
  readonly mesh: string
  readonly name: string
  /** The claimed part, in loopback mode. */
  readonly part: number | undefined
  readonly resolver: { readonly host: string; readonly port: number } | undefined
  readonly workDir: string
  readonly envoyPid: number | undefined
  readonly connected: boolean
  isReady(): Promise<boolean>
  /** Resolves when everything has stopped after the signal was aborted. */
  readonly done: Promise<void>
}

const removedLimitMs = 5_000

/**
 * Runs one proxy: claims its addresses, fetches the bootstrap, starts Envoy and the session. Resolves when Envoy has
 * started. Throws one line if the zone refuses the proxy for good. When the signal is aborted, the proxy drains and
 * stops.
 */
export async function startDataplane(
  deps: DataplaneDeps,
  config: DataplaneConfig,
  signal: AbortSignal,
): Promise<Dataplane> {
  await using opened = new AsyncDisposableStack()
  const proxy = await readProxy(config)
  await mkdir(config.workDir, { recursive: true, mode: 0o700 })
  const loopback = await openLoopback(deps, config, proxy)
  if (loopback.claim) opened.use(loopback.claim.resolver)
  const { address, authority } = await writeBootstrap(deps, config, proxy, loopback, signal)
  // After the bootstrap, so that nothing is downloaded for a proxy that the zone refuses.
  const binary = await findEnvoy(deps, signal)
  const session = opened.use(
    openSession(deps, {
      addresses: [address, ...addressesOf(config).filter(({ href }) => href !== address.href)],
      authority,
      token: config.token,
      hello: () => helloOf(proxy, loopback),
      onNames: loopback.names.apply,
      queries: adminQueries(() => running),
    }),
  )
  let running: RunningEnvoy | undefined
  const envoy = opened.use(
    await runEnvoy(deps, {
      binary,
      bootstrapFile: join(config.workDir, 'bootstrap.json'),
      workDir: config.workDir,
      concurrency: config.concurrency,
      drainMs: config.drainMs,
      adminPort: config.adminPort,
      onExit: session.envoyExited,
    }),
  )
  running = envoy
  const readiness = async (): Promise<Readiness> =>
    signal.aborted ? 'TERMINATING' : (await envoy.isReady()) ? 'READY' : 'NOT_READY'
  if (config.readinessPort !== undefined) opened.use(await serveReadiness(config.readinessPort, readiness))
  const all = opened.move()
  const { claim } = loopback
  return {
    mesh: proxy.mesh,
    name: proxy.name,
    part: claim?.part,
    resolver: claim && { host: claim.resolver.host, port: claim.resolver.port },
    workDir: config.workDir,
    get envoyPid() {
      return envoy.pid
    },
    get connected() {
      return session.connected
    },
    isReady: envoy.isReady,
    done: stopWhenAborted(deps, config, session, envoy, all, loopback.names, signal),
  }
}

interface Loopback {
  readonly claim: Claim | undefined
  readonly canBindPort80: boolean
  readonly names: NamesHolder
}

const emptyTable = tableOf('mesh', 30, new Map())

async function openLoopback(deps: DataplaneDeps, config: DataplaneConfig, proxy: LocalProxy): Promise<Loopback> {
  const usesLoopback = config.dns.enabled && proxy.needsLoopback && process.platform === 'linux'
  if (!usesLoopback)
    return { claim: undefined, canBindPort80: false, names: await openNames(config.workDir, undefined) }
  let names: NamesHolder | undefined
  const nameservers = await systemServers()
  const place = { what: 'names', host: partAddress(0, 1), port: config.dns.port, option: '--dns-port' }
  const claimed = await claimPart(config.workDir, `${proxy.mesh}.${proxy.name}`, (host) =>
    startDnsServer(deps, {
      host,
      port: config.dns.port,
      table: () => names?.table() ?? emptyTable,
      ...(nameservers.length > 0 ? { forward: { servers: nameservers } } : {}),
      allowForward: (client) => client.startsWith('127.'),
    }),
  ).catch((cause: unknown) => {
    // Only errors of binding have this call.
    throw cause instanceof Error && 'syscall' in cause && cause.syscall === 'bind' ? listenError(cause, place) : cause
  })
  names = await openNames(config.workDir, claimed.ok ? claimed.value.part : undefined, (cause) =>
    deps.log.error({ workDir: config.workDir, reason: messageOf(cause) }, 'cannot store the names for the next run'),
  )
  if (!claimed.ok) {
    const reason = messageOf(listenError(claimed.error, place))
    deps.log.warn({ reason }, 'cannot bind any address of 127.128.0.0/9: names are not served on this host')
    return { claim: undefined, canBindPort80: false, names }
  }
  const claim = claimed.value
  const canBindPort80 = await canBind(partAddress(claim.part, 1), 80)
  if (!canBindPort80) deps.log.info({}, 'cannot bind port 80: services answer only on the port in their name')
  return { claim, canBindPort80, names }
}

const addressesOf = ({ address, otherAddresses = [] }: DataplaneConfig): readonly URL[] =>
  [address, ...otherAddresses].map((one) => new URL(one))

/**
 * Fetches the bootstrap and writes it to the work folder. Returns the address that has answered, and the CA that the
 * session must trust.
 */
async function writeBootstrap(
  deps: DataplaneDeps,
  config: DataplaneConfig,
  proxy: LocalProxy,
  loopback: Loopback,
  signal: AbortSignal,
): Promise<Found> {
  const addresses = addressesOf(config)
  let found: Found | undefined
  let attempts = 0
  const body = {
    mesh: proxy.mesh,
    name: proxy.name,
    proxyType: proxy.type,
    ...(config.token === undefined ? {} : { dataplaneToken: config.token }),
    ...(proxy.resource === undefined ? {} : { dataplaneResource: proxy.resource }),
    workdir: config.workDir,
    // The insight of the proxy shows it, as for kuma-dp.
    version: { kumaDp: { version } },
    features: [],
    operatingSystem: process.platform,
    ...(config.readinessPort === undefined ? {} : { readinessPort: config.readinessPort }),
    zonemesh: {
      ...(loopback.claim ? { part: loopback.claim.part } : {}),
      canBindPort80: loopback.canBindPort80,
      ...(config.adminPort === undefined ? {} : { adminPort: config.adminPort }),
      ...(addresses.length > 1 ? { addresses: addresses.map(endpointOf) } : {}),
    },
  }
  const call = async () => {
    const first = attempts++ % addresses.length
    found = await findZone(config.trust, [...addresses.slice(first), ...addresses.slice(0, first)], signal)
    return { ...found, body: { ...body, caCert: found.authority ?? '' } }
  }
  const text = await fetchBootstrap(deps, call, signal)
  await writeAtomic(join(config.workDir, 'bootstrap.json'), text)
  assert(found, 'a bootstrap was fetched without an address')
  return found
}

const helloOf = (proxy: LocalProxy, { claim, canBindPort80, names }: Loopback) => ({
  proxyType: proxy.type,
  mesh: proxy.mesh,
  name: proxy.name,
  version,
  ...(claim ? { part: claim.part } : {}),
  canBindPort80,
  answersQueries: true,
  namesStore: names.position().store,
  namesRevision: BigInt(names.position().revision),
})

/** Waits for the abort. Then the row is removed, Envoy serves for the drain time, and everything stops. */
async function stopWhenAborted(
  deps: DataplaneDeps,
  config: DataplaneConfig,
  session: Session,
  envoy: RunningEnvoy,
  all: AsyncDisposableStack,
  names: NamesHolder,
  signal: AbortSignal,
): Promise<void> {
  await using _ = all
  await untilAborted(signal)
  const removed = await session.drain(removedLimitMs)
  deps.log.info({ removed, drainMs: config.drainMs }, 'draining')
  await envoy.admin('/healthcheck/fail', 'POST').catch((error: unknown) => {
    deps.log.debug({ error: messageOf(error) }, 'the admin interface of Envoy does not respond')
  })
  await delay(deps.clock, config.drainMs, new AbortController().signal)
  await names.saved()
}
