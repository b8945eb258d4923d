import { createCompiler, type HeldRow } from '@zonemesh/core/compile/compiler.ts'
import { typeUrls, type XdsResource } from '@zonemesh/core/emit/table.ts'
import { createNames } from '@zonemesh/core/names/table.ts'
import { createAuthorityHolder } from '@zonemesh/plane/authority/holder.ts'
import { createMemorySealer } from '@zonemesh/plane/authority/seal.ts'
import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import { createVirtualClock } from '@zonemesh/shared/env/clock.ts'
import { silentLog } from '@zonemesh/shared/env/log.ts'
import { createSeededRandom } from '@zonemesh/shared/env/random.ts'
import { noTracer, type Traceparent, type Tracer } from '@zonemesh/shared/env/trace.ts'
import { keyText, type ResourceKey } from '@zonemesh/shared/resource/resource.ts'
import { createMemoryStore } from '@zonemesh/shared/store/memory.ts'
import type { Change, Store, Version } from '@zonemesh/shared/store/store.ts'
import { createCompileTrace } from '../../src/engine/compile-trace.ts'
import { createEngine } from '../../src/engine/engine.ts'
import { createProgress, type Progress } from '../../src/engine/progress.ts'
import { createSecrets } from '../../src/secrets/secrets.ts'
import { global, own } from '../quarantine/life.ts'

interface Options {
  readonly startsComplete?: boolean
  readonly completes?: (key: ResourceKey) => boolean
  readonly poisonous?: readonly string[]
  readonly horizonRevisions?: number
  /** Changes the store that the engine reads. */
  readonly read?: (store: Store) => Partial<Store>
  readonly certificate?: () => XdsResource | undefined
  readonly tracer?: Tracer
}

type Written = readonly [ResourceKey, unknown]

/** An engine with the modules around it, over a memory store. */
export function scene(options: Options = {}) {
  const clock = createVirtualClock(Date.UTC(2026, 0, 1))
  const { horizonRevisions = 1_000, poisonous = [] } = options
  const written = createMemoryStore({ clock, random: createSeededRandom(1) }, { horizonRevisions })
  let reads = 0
  const store: Store = {
    ...written,
    ...options.read?.(written),
    mark() {
      reads += 1
      return (options.read?.(written).mark ?? written.mark)()
    },
  }
  const log = { ...silentLog, error: (_fields: unknown, message: string) => void logged.push(message) }
  const logged: string[] = []
  const compiler = createCompiler({
    zone: 'east',
    faultPoint(_unit, read) {
      if (read.some((key) => poisonous.includes(key))) throw new Error('undefined is not a function')
    },
  })
  const holder = createAuthorityHolder({
    ...{ store: written, sealer: createMemorySealer(), zone: 'east', clock, log, commit: written.commit },
  })
  const certificates = { resolve: () => options.certificate?.() }
  const names = createNames()
  const measured: string[] = []
  const counted = createProgress(clock, {
    tableServed: (delayMs) => void measured.push(`table served after ${delayMs}`),
  })
  const trace = createCompileTrace(options.tracer ?? noTracer, store)
  // As in `startCore`.
  const progress: Progress = {
    ...counted,
    sent(proxy, serial, mark) {
      counted.sent(proxy, serial, mark)
      trace.sent(proxy, serial)
    },
  }
  const namesChanged: (readonly string[])[] = []
  const marked: (readonly Version[])[] = []
  const kept: HeldRow[] = []
  const engine = createEngine({
    ...{ clock, log, store, compiler, names, progress, trace },
    secrets: createSecrets({ holder, certificates, clock, log }, () => undefined),
    quarantine: { keep: (rows) => void kept.push(...rows) },
    startsComplete: options.startsComplete ?? true,
    completes: options.completes ?? (() => true),
    namesChanged: (meshes) => namesChanged.push([...meshes]),
    marked: (versions) => marked.push(versions),
    observer: {
      compiled: (durationMs) => void measured.push(`compiled in ${durationMs}`),
      failed: () => void measured.push('failed'),
    },
  })
  let originRevision = 0
  const putIn = async (traceparent: Traceparent | undefined, rows: readonly Written[]): Promise<number> => {
    const changes = rows.map(([key, spec]): Change => {
      originRevision += 1
      const stamp = { incarnation: 1, originRevision, createdAtMs: 0, modifiedAtMs: 0 }
      // A test may write what admission would refuse.
      return { op: 'put', key, labels: {}, spec: spec as JsonObject, ...(key.origin === 'east' ? {} : { stamp }) }
    })
    const traced = traceparent ? { traceparent } : {}
    await written.commit({ changes, subject: 'test', intent: 'test', ...traced })
    return (await written.head()).revision
  }
  const put = (...rows: readonly Written[]) => putIn(undefined, rows)
  const forget = (key: ResourceKey) =>
    written.commit({ changes: [{ op: 'forget', key }], subject: 'test', intent: 'test' })
  return {
    ...{ engine, clock, names, progress, trace, namesChanged, marked, kept, logged, measured, put, putIn, forget },
    reads: () => reads,
    /** Resolves when the newest mark is compiled. */
    settle: () => engine.start(),
    open: (proxy: ResourceKey) => {
      const feed = engine.open(keyText(proxy), { canBindPort80: true })
      const { table } = feed
      return {
        ...feed,
        mark: () => table.value?.mark,
        /** The names of the routes in the table. */
        routes: () =>
          [...([...(table.value?.resources.get(typeUrls.route)?.values() ?? [])][0]?.contributions?.keys() ?? [])].map(
            (key) => key.split('/').at(-1),
          ),
      }
    },
  }
}

/** A store whose commits are read only when a test settles. */
export const withoutHints = () => ({ onMark: () => ({ [Symbol.dispose]: () => undefined }) })

export const edge = own('Dataplane', 'edge-1')
export const selectors = [{ match: { 'kuma.io/service': 'edge' } }]
export const gatewayProxy = (address: string, service = 'edge') => ({
  networking: { address, gateway: { type: 'BUILTIN', tags: { 'kuma.io/service': service } } },
})
export const route = (path: string, service = 'edge') => ({
  selectors: [{ match: { 'kuma.io/service': service } }],
  conf: {
    http: {
      hostnames: [`${service}.example`],
      rules: [
        {
          matches: [{ path: { match: 'PREFIX', value: path } }],
          backends: [{ weight: 1, destination: { 'kuma.io/service': 'echo' } }],
        },
      ],
    },
  },
})
export const routeKey = (name: string) => global('MeshGatewayRoute', name)
export const world = [
  [global('Mesh', 'default', ''), {}],
  [global('MeshGateway', 'edge'), { selectors, conf: { listeners: [{ port: 80, protocol: 'HTTP' }] } }],
  [edge, gatewayProxy('10.0.0.1')],
  [routeKey('good'), route('/')],
] as const
