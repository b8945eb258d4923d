import { sightRules } from '@zonemesh/plane/sight.ts'
import { systemClock } from '@zonemesh/shared/env/clock.ts'
import { silentLog } from '@zonemesh/shared/env/log.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import type { Store } from '@zonemesh/shared/store/store.ts'
import { createLatest } from '@zonemesh/shared/streams/latest.ts'
import { syncPath } from '@zonemesh/shared/sync/handshake.ts'
import type { Verdict } from '@zonemesh/shared/sync/log/messages.ts'
import { nothingServed } from '@zonemesh/shared/sync/served-status.ts'
import { startUplink, type Uplink, type UplinkDeps } from '@zonemesh/shared/sync/uplink.ts'
import { dialGrpc } from '@zonemesh/shared/transport/grpc.ts'
import type { RunningGlobal } from '../src/global.ts'

/** A zone without proxies: a store that syncs with the global. Optionally it reports stored revisions as served. */
export function startBareZone(
  { syncPort, pin }: Pick<RunningGlobal, 'syncPort' | 'pin'>,
  options: {
    readonly zone: string
    readonly token: string
    readonly store: Store
    readonly isServing?: boolean
    /** The verdicts that it reports on rows as soon as it has stored them. */
    readonly verdicts?: () => readonly Verdict[]
  },
): Uplink {
  const { zone, token, store, isServing = false, verdicts = () => [] } = options
  const served = createLatest(nothingServed)
  const onApplied: UplinkDeps['onApplied'] = ({ position }) => {
    if (isServing) served.set({ ...nothingServed, served: position, verdicts: verdicts() })
  }
  const dialer = dialGrpc({ address: `127.0.0.1:${syncPort}`, path: syncPath, token, pinSha256Hex: pin })
  const env = { clock: systemClock, random: systemRandom, log: silentLog }
  const deps = { ...env, store, rules: sightRules, served, onApplied }
  return startUplink(deps, { dialer, zone, version: '0', hostname: 'box' })
}
