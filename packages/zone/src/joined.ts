import { hostname } from 'node:os'
import type { Closers } from '@zonemesh/plane/lifecycle.ts'
import { sightRules } from '@zonemesh/plane/sight.ts'
import { lostHoldId } from '@zonemesh/plane/status/lost.ts'
import { addressesOf, type Join } from '@zonemesh/shared/auth/join.ts'
import { err } from '@zonemesh/shared/base/base.ts'
import { version } from '@zonemesh/shared/base/version.ts'
import type { Log } from '@zonemesh/shared/env/log.ts'
import { type Lead, whileLeading } from '@zonemesh/shared/leader/election.ts'
import { createLatest, type Latest } from '@zonemesh/shared/streams/latest.ts'
import { nothingServed, type ServedStatus } from '@zonemesh/shared/sync/served-status.ts'
import { startUplink, type Uplink, type UplinkDeps } from '@zonemesh/shared/sync/uplink.ts'
import { standbyState, type UplinkState } from '@zonemesh/shared/sync/uplink-state.ts'
import type { ZoneBase } from './base.ts'
import type { ZoneCore } from './core.ts'
import { createDialer, createNewestDialer } from './dialer.ts'
import { followJoinFile } from './join-file.ts'
import type { ZoneConfig } from './options.ts'

/** The session of the zone with its global. The leader of the replicas has it. */
export interface Joined extends Pick<Uplink, 'release' | 'ask'> {
  /** The state of the session; the phase `standby` if another replica has it. */
  state(): UplinkState
  /** The join string in use. */
  join(): Join
}

/**
 * Keeps the session with the global while this process leads, and reports what this zone serves. Each new session
 * keeper is observed until it stops. Returns undefined for a standalone zone.
 */
export function startJoined(
  base: ZoneBase,
  core: ZoneCore,
  config: ZoneConfig,
  join: Join | undefined,
  shownToGlobal: Required<Pick<UplinkDeps, 'report' | 'queries'>>,
  observe: (state: Uplink['state']) => void,
  closers: Closers,
): Joined | undefined {
  if (!join) return undefined
  const { leadership } = base
  const served = createLatest<ServedStatus>(nothingServed)
  const onApplied = followProgress(base.log, core.reporter, served)
  const onRelease = (hold: string): boolean => {
    if (hold !== lostHoldId) return false
    core.removeLost().catch((cause: unknown) => base.log.warn({ err: cause }, 'cannot remove lost proxies'))
    return true
  }
  // Throws now if the address is invalid, instead of at the first attempt to dial.
  createDialer(join)
  const renewed = () => uplink()?.redial('this zone continues with a newer token')
  const path = config.joinFile
  const file = path === undefined ? undefined : followJoinFile(base, { path, zone: base.zone, first: join }, renewed)
  const newest = () => file?.current() ?? join
  const address = addressesOf(join)
    .map((one) => one.replace(/^https?:\/\/|\/$/g, ''))
    .join(', ')
  const start = (lead: Lead): Uplink => {
    const started = startUplink(
      {
        ...base,
        log: base.log.child({ address }),
        rules: sightRules,
        ...shownToGlobal,
        served,
        grants: base.grants,
        onApplied,
        onUnknownPosition: () => core.reporter.forgetServed(),
        onRelease,
      },
      {
        dialer: createNewestDialer(newest),
        zone: base.zone,
        version,
        hostname: hostname(),
        lead,
        confirmLead: leadership.confirm,
        ...(config.acceptGlobal === undefined ? {} : { acceptGlobalStore: config.acceptGlobal }),
      },
    )
    observe(started.state)
    return started
  }
  const led = whileLeading(leadership, start)
  const uplink = () => led.running()
  closers.add('the uplink', () => led[Symbol.asyncDispose]())
  const grants = base.grants.follow(uplink)
  closers.add('the grants of numbers', () => grants[Symbol.dispose]())
  closers.add('the join file', () => file?.close())
  const standby = () => `the replica ${leadership.leader() || '(not yet known)'} has the session with the global`
  return {
    state: () => uplink()?.state.value ?? standbyState(standby()),
    release: (hold) => uplink()?.release(hold) ?? false,
    async ask(name, request, signal) {
      const own = uplink()
      return own ? own.ask(name, request, signal) : err({ code: 'ended', reason: `${standby()}: ask there` })
    },
    join: newest,
  }
}

/** Passes on what this zone serves and, by the returned function, what it has stored. Both are lines of the log. */
function followProgress(
  log: Log,
  reporter: ZoneCore['reporter'],
  served: Latest<ServedStatus>,
): NonNullable<UplinkDeps['onApplied']> {
  reporter.onUpdate((next) => {
    const now = next.served
    if (now && now.commitId !== served.value.served?.commitId)
      log.debug({ revision: now.revision }, 'all proxies serve this revision of the global')
    served.set(next)
  })
  return ({ position, localMark }) => {
    log.debug({ revision: position.revision }, 'stored the rows of the global up to this revision')
    reporter.applied(position, localMark.revision)
  }
}
