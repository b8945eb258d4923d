import { showStatus } from '@zonemesh/cli/output/show-status.ts'
import { createStatus } from '@zonemesh/global/status/status.ts'
import { createExpiry, type Expiring } from '@zonemesh/plane/status/expiry.ts'
import { type JsonObject, ok } from '@zonemesh/shared/base/base.ts'
import type { Clock } from '@zonemesh/shared/env/clock.ts'
import { silentLog } from '@zonemesh/shared/env/log.ts'
import { createSeededRandom } from '@zonemesh/shared/env/random.ts'
import { leadAlone } from '@zonemesh/shared/leader/election.ts'
import { globalOrigin } from '@zonemesh/shared/resource/resource.ts'
import { createMemoryStore } from '@zonemesh/shared/store/memory.ts'
import type { Change, Store } from '@zonemesh/shared/store/store.ts'
import { createLatest } from '@zonemesh/shared/streams/latest.ts'
import type { Former } from '@zonemesh/shared/sync/formers.ts'
import { createUplinkState, type UplinkState } from '@zonemesh/shared/sync/uplink-state.ts'
import { blank, type ZoneStatus } from '@zonemesh/shared/sync/zone-status.ts'
import { createProgress } from '@zonemesh/zone/engine/progress.ts'
import { noReplicas } from '@zonemesh/zone/replicas/replicas.ts'
import { createOwnState } from '@zonemesh/zone/status/own.ts'
import { createProxyStatus, type Verdict } from '@zonemesh/zone/status/proxies.ts'
import { createReporter } from '@zonemesh/zone/status/reporter.ts'
import { createZoneStatus } from '@zonemesh/zone/status/status.ts'

// The statuses of planes at a fixed time. Both planes compose them as they do for the API, from what their parts report.

export const nowMs = Date.UTC(2026, 0, 1)
const upMs = 3_600_000
const clock: Clock = {
  wallMs: () => nowMs,
  monotonicMs: () => upMs,
  after: () => ({ [Symbol.dispose]: () => undefined }),
}
const nothing = { unserved: [], unservedTotal: 0, unparsed: [], unparsedTotal: 0 }
const linesOf = (body: JsonObject): string[] => {
  const lines: string[] = []
  showStatus({ print: (line) => void lines.push(line) }, body)
  return lines
}

async function storeWith(changes: readonly Change[], fault?: string): Promise<Store> {
  const store = createMemoryStore({ clock, random: createSeededRandom(1) })
  for (const change of changes) await store.commit({ changes: [change], subject: 'admin', intent: 'test' })
  return { ...store, fault: () => fault }
}

const expiryOf = (soon: readonly Expiring[]) => createExpiry({ clock, log: silentLog, sources: async () => soon })

/** A zone that has the revisions of a global with three zones. */
export const healthy = (zone: string, more: Partial<ZoneStatus> = {}): ZoneStatus => ({
  ...blank(zone),
  ...{ connected: true, current: true, sinceMs: nowMs - 90_000, epoch: 2, host: `${zone}-1`, version: '0.1.0' },
  ...{ sent: 3, stored: 3, served: 3, lastProgressAtMs: nowMs - 40_000, lastBookmarkAtMs: nowMs - 300 },
  counters: { ...blank(zone).counters, proxies: 2, proxiesConnected: 2 },
  ...more,
})

interface GlobalParts {
  /** The Zones; by default east, north and west. */
  readonly names?: readonly string[]
  readonly zones?: readonly ZoneStatus[]
  readonly disabled?: readonly string[]
  readonly refused?: readonly { readonly key: string; readonly reason: string }[]
  readonly formers?: ReadonlyMap<string, Former>
  readonly waits?: readonly { readonly mesh: string; readonly reason: string }[]
  readonly soon?: readonly Expiring[]
  readonly fault?: string
  readonly report?: JsonObject
}

/** What `zonemesh status` shows of a global with the zones east, north and west, of which north has never started. */
export async function globalLines(parts: GlobalParts): Promise<string[]> {
  const { zones = [healthy('east'), healthy('west')], disabled = [], refused = [], soon = [], waits = [] } = parts
  const put = (name: string): Change => ({
    op: 'put',
    key: { origin: globalOrigin, kind: 'Zone', mesh: '', name },
    labels: {},
    spec: { enabled: !disabled.includes(name) },
  })
  const store = await storeWith((parts.names ?? ['east', 'north', 'west']).map(put), parts.fault)
  const sync = {
    zones: () => new Map(zones.map((status) => [status.zone, status])),
    formers: () => parts.formers ?? new Map(),
  }
  const expiry = expiryOf(soon)
  const owner = { waits: () => waits }
  const catalogue = { report: async () => ({ ...nothing, ...parts.report }) }
  const isEast = (zone: string) => zone === 'east'
  const refusedIn = (zone: string) => (isEast(zone) ? refused : [])
  return linesOf(await createStatus({ store, sync, refused: refusedIn, clock, expiry, owner, catalogue }).report())
}

interface ZoneParts {
  readonly uplink?: Partial<UplinkState>
  readonly isStandalone?: boolean
  readonly proxies?: readonly string[]
  readonly offline?: readonly string[]
  readonly lost?: readonly string[]
  readonly suspect?: readonly string[]
  /** What an Envoy refuses, by key text. */
  readonly refusals?: readonly (Verdict & { readonly proxy: string })[]
  readonly quarantined?: readonly Verdict[]
  /** What a gateway leaves out, by its key text. */
  readonly problems?: Readonly<Record<string, readonly Verdict[]>>
  readonly soon?: readonly Expiring[]
  readonly fault?: string
}

/** What `zonemesh status` shows of zone east, whose proxies have accepted the newest table. */
export async function zoneLines(parts: ZoneParts): Promise<string[]> {
  const { proxies = ['east/Dataplane/default/gateway-1', 'east/ZoneIngress//ingress-east'], offline = [] } = parts
  const status = createProxyStatus({ clock, instanceId: 'east-1' })
  const progress = createProgress(clock)
  progress.compiled(7)
  for (const proxy of proxies) {
    const [, , mesh = '', name = ''] = proxy.split('/')
    const stream = {
      id: proxy,
      proxy: { type: 'dataplane', mesh, name } as const,
      metadata: {},
      connectedAtMs: nowMs - 60_000,
    }
    status.opened(proxy, {
      ...stream,
      resource: undefined,
      credentials: { covers: () => ok(undefined) },
      facts: { part: 0, canBindPort80: true },
    })
    if (offline.includes(proxy)) status.closed(proxy, proxy)
    progress.sent(proxy, 1, 7)
    progress.served(proxy, 1)
  }
  const state = createUplinkState(clock, nowMs - 60_000)
  const at = { store: 'g', revision: 24, commitId: 'c' }
  state.change({ phase: 'connected', epoch: 2, globalStoreId: 'g', position: at, globalMark: 24, positionCounts: true })
  state.change({ bookmarkAtMs: upMs - 400, confirmedAtMs: upMs - 400, ...parts.uplink })
  const engine = {
    mark: createLatest(7),
    needsOf: () => [],
    problemsOf: (proxy: string) => parts.problems?.[proxy] ?? [],
  }
  const quarantine = {
    verdicts: () =>
      (parts.quarantined ?? []).map((one) => ({ ...one, rowVersion: '1.3', software: '0.1.0', atMs: nowMs })),
  }
  const reporter = createReporter({
    ...{ clock, progress, status, quarantine, replicas: () => noReplicas },
    refusals: { verdicts: () => (parts.refusals ?? []).map((one) => ({ ...one, hash: '', resource: '' })) },
    certificates: { verdicts: () => [] },
    leftOut: () => Object.values(parts.problems ?? {}).flat(),
  })
  const leases = {
    isLost: (proxy: string) => parts.lost?.includes(proxy) ?? false,
    isSuspect: (proxy: string) => parts.suspect?.includes(proxy) ?? false,
    lost: () => parts.lost ?? [],
  }
  const own = createOwnState({
    ...{ status, engine, leases, progress, reporter },
    secrets: { identityOf: () => undefined },
    uses: () => ({}),
    uplink: () => undefined,
  })
  const report = createZoneStatus({
    store: await storeWith([], parts.fault),
    catalogue: { report: async () => nothing },
    ...{ engine, quarantine, leases, reporter, own },
    ...{ replicas: noReplicas, leadership: leadAlone('east-1'), replica: undefined, redis: undefined },
    ...{ clock, expiry: expiryOf(parts.soon ?? []), rotations: () => [], zone: 'east' },
    uplink: parts.isStandalone ? undefined : { state: () => state.latest.value },
    role: parts.isStandalone ? 'standalone' : 'zone',
  })
  return linesOf(await report.report())
}
