import { createCompiler } from '@zonemesh/core/compile/compiler.ts'
import type { XdsResource } from '@zonemesh/core/emit/table.ts'
import { createNames } from '@zonemesh/core/names/table.ts'
import { createAuthorityHolder } from '@zonemesh/plane/authority/holder.ts'
import { createMemorySealer } from '@zonemesh/plane/authority/seal.ts'
import { createCatalogue } from '@zonemesh/plane/catalogue/catalogue.ts'
import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import type { createVirtualClock } from '@zonemesh/shared/env/clock.ts'
import { silentLog } from '@zonemesh/shared/env/log.ts'
import { createSeededRandom } from '@zonemesh/shared/env/random.ts'
import { leadAlone } from '@zonemesh/shared/leader/election.ts'
import { globalOrigin, type ResourceKey } from '@zonemesh/shared/resource/resource.ts'
import { createMemoryStore, type MemoryContents } from '@zonemesh/shared/store/memory.ts'
import type { Change } from '@zonemesh/shared/store/store.ts'
import type { ServedStatus } from '@zonemesh/shared/sync/served-status.ts'
import { createEngine } from '../../src/engine/engine.ts'
import { createProgress } from '../../src/engine/progress.ts'
import { createLeases } from '../../src/leases/leases.ts'
import { createQuarantine } from '../../src/quarantine/quarantine.ts'
import { waitForReceipt } from '../../src/receipt.ts'
import { noReplicas } from '../../src/replicas/replicas.ts'
import { createSecrets } from '../../src/secrets/secrets.ts'
import { createOwnState } from '../../src/status/own.ts'
import { createProxyStatus } from '../../src/status/proxies.ts'
import { createReporter } from '../../src/status/reporter.ts'
import { createZoneStatus } from '../../src/status/status.ts'

const alone = { term: 0, guards: [] }

export const global = (kind: string, name: string, mesh = 'default'): ResourceKey => ({
  origin: globalOrigin,
  kind,
  mesh,
  name,
})
export const own = (kind: string, name: string): ResourceKey => ({ origin: 'east', kind, mesh: 'default', name })

interface Options {
  readonly contents: MemoryContents
  readonly clock: ReturnType<typeof createVirtualClock>
  readonly software?: string
  /** Key texts of rows on which the compiler of this zone has a bug. */
  readonly poisonous?: readonly string[]
  /** The present certificate of every listener. */
  readonly certificate?: () => XdsResource | undefined
}

/**
 * Starts a zone from its store to its status, wired as in `startCore`. A test restarts it by a second call with the
 * same contents.
 */
export async function startLife({ contents, clock, software = '1', poisonous = [], certificate }: Options) {
  const log = silentLog
  const zone = 'east'
  const store = createMemoryStore({ clock, random: createSeededRandom(contents.mark + 1) }, { contents })
  let crashes = 0
  const compiler = createCompiler({
    zone,
    faultPoint(_unit, reads) {
      const met = reads.find((read) => poisonous.includes(read))
      if (met === undefined) return
      crashes += 1
      throw new Error(`undefined is not a function in ${met}`)
    },
  })
  const sealer = createMemorySealer()
  const holder = createAuthorityHolder({ store, sealer, zone, clock, log, commit: store.commit })
  const names = createNames()
  const progress = createProgress(clock)
  const status = createProxyStatus({ clock, instanceId: 'test' })
  const quarantine = createQuarantine({
    store,
    zone,
    software,
    compiler,
    clock,
    log,
    changed: () => reporter.update(),
  })
  const refusals = { verdicts: () => [] }
  const certificates = { verdicts: () => [], resolve: () => certificate?.() }
  const reporter = createReporter({
    ...{ clock, progress, status, refusals, quarantine, certificates },
    leftOut: () => engine.leftOut(),
    replicas: () => noReplicas,
  })
  const served: ServedStatus[] = []
  reporter.onUpdate((next) => served.push(next))
  const waiting: (() => boolean)[] = []
  const settleWaiting = () => {
    for (const [at, wake] of [...waiting.entries()].reverse()) if (wake()) waiting.splice(at, 1)
  }
  const engine = createEngine({
    clock,
    startsComplete: true,
    completes: () => true,
    store,
    compiler,
    names,
    secrets: createSecrets({ holder, certificates, clock, log }, () => undefined),
    progress,
    quarantine,
    log,
    namesChanged: () => undefined,
    marked(versions) {
      quarantine.marked(versions)
      reporter.update()
      settleWaiting()
    },
  })
  const leases = createLeases({
    lead: () => alone,
    clock,
    log,
    remove: async () => undefined,
    markLost: async () => {},
  })
  const own = createOwnState({
    ...{ status, engine, leases, progress, reporter },
    secrets: { identityOf: () => undefined },
    uses: () => ({}),
    uplink: () => undefined,
  })
  const zoneStatus = createZoneStatus({
    clock,
    store,
    catalogue: createCatalogue(store),
    ...{ engine, quarantine, leases, reporter, own },
    ...{ uplink: undefined, replicas: noReplicas, leadership: leadAlone('life'), replica: undefined, redis: undefined },
    rotations: () => [],
    expiry: { report: async () => [], notYetValid: () => [] },
    role: 'zone',
    zone,
  })
  await quarantine.load()
  await engine.start()
  return {
    store,
    engine,
    names,
    crashes: () => crashes,
    /** The verdicts in the newest bookmark. */
    verdicts: () => served.at(-1)?.verdicts ?? [],
    report: () => zoneStatus.report(),
    receipt: (revision: number) => waitForReceipt({ clock, zone, store }, { engine, reporter }, revision, 'stored', 0),
    /** Resolves when the rows, and all commits that they cause, are compiled. */
    async put(...rows: readonly (readonly [ResourceKey, unknown])[]): Promise<void> {
      const changes = rows.map(([key, spec]): Change => {
        originRevision += 1
        const stamp = { incarnation: 1, originRevision, createdAtMs: 0, modifiedAtMs: 0 }
        // A test may write what admission would refuse.
        return { op: 'put', key, labels: {}, spec: spec as JsonObject, ...(key.origin === zone ? {} : { stamp }) }
      })
      await store.commit({ changes, subject: 'test', intent: 'test' })
      await settle()
    },
    settle,
    stop: () => engine.close(),
  }

  /** Resolves when the newest revision is compiled. Compilation may itself cause commits. */
  async function settle(): Promise<void> {
    const { revision } = await store.head()
    if (engine.mark.value < revision) {
      await new Promise<void>((resolve) => {
        const isCompiled = () => engine.mark.value >= revision
        waiting.push(() => {
          if (isCompiled()) resolve()
          return isCompiled()
        })
        settleWaiting()
      })
    }
    if ((await store.head()).revision > revision) await settle()
  }
}

/** The revisions of the owner grow across restarts. */
let originRevision = 0
