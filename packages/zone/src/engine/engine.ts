import type { Compiler, HeldRow } from '@zonemesh/core/compile/compiler.ts'
import {
  type ProxyFacts,
  type ProxyTable,
  type TypeUrl,
  typeUrls,
  type XdsResource,
} from '@zonemesh/core/emit/table.ts'
import type { Names } from '@zonemesh/core/names/table.ts'
import { messageOf } from '@zonemesh/shared/base/base.ts'
import type { Clock } from '@zonemesh/shared/env/clock.ts'
import type { Log } from '@zonemesh/shared/env/log.ts'
import type { ResourceKey } from '@zonemesh/shared/resource/resource.ts'
import { createFollower } from '@zonemesh/shared/store/follower.ts'
import type { Store, Version } from '@zonemesh/shared/store/store.ts'
import { createLatest, type Latest } from '@zonemesh/shared/streams/latest.ts'
import type { Quarantine } from '../quarantine/quarantine.ts'
import type { Secrets } from '../secrets/secrets.ts'
import type { ResolvedTable } from '../xds/ads-state.ts'
import type { CompileTrace } from './compile-trace.ts'
import { type LeftOut, leftOutOf } from './left-out.ts'
import type { Progress } from './progress.ts'

interface Deps {
  readonly store: Store
  readonly compiler: Compiler
  readonly names: Names
  readonly quarantine: Pick<Quarantine, 'keep'>
  readonly secrets: Secrets
  readonly progress: Progress
  readonly log: Log
  readonly clock: Clock
  /**
   * False for a zone under a global. If its store was lost, its tables lack the rows of the global, and Envoys would
   * lose configuration that nobody deleted. So the zone publishes no table before the first round of the global.
   */
  readonly startsComplete: boolean
  /** Whether a row with this key proves that the first round of the global is stored. */
  readonly completes: (key: ResourceKey) => boolean
  /** The names of these meshes have changed. */
  readonly namesChanged: (meshes: ReadonlySet<string>) => void
  /** A mark was compiled and its tables were published. */
  readonly marked: (versions: readonly Version[]) => void
  readonly observer?: EngineObserver | undefined
  /** Default: nothing is traced. */
  readonly trace?: Pick<CompileTrace, 'isOn' | 'causes' | 'compile'>
}

export interface EngineObserver {
  /** The tables of all proxies follow a new mark. */
  compiled(durationMs: number): void
  /** A table could not be compiled. */
  failed(): void
}

/** The tables of one proxy with a stream. */
interface Feed {
  readonly table: Latest<ResolvedTable | undefined>
  facts: ProxyFacts
  compiled: ProxyTable | undefined
}

const retryMs = 1_000

/**
 * The loop from store to tables. It reads the changes up to the newest mark, recompiles the units that read them, and
 * publishes new tables to the streams of live proxies. It compiles at marks only.
 */
export function createEngine(deps: Deps) {
  const feeds = new Map<string, Feed>()
  const markRead = createLatest(0)
  /** Numbers the tables. One mark may lead to several tables, and a proxy answers each of them. */
  let serial = 0
  /** The parts of rows that the tables of live proxies lack; undefined after a table has changed. */
  let leftOut: readonly LeftOut[] | undefined
  const follower = createFollower(deps.store)
  let complete = deps.startsComplete
  let running: Promise<void> | undefined
  let again = false
  let closed = false
  let retry: Disposable | undefined

  function publish(proxy: string, feed: Feed): void {
    const compiled = deps.compiler.table(proxy, feed.facts)
    if (!compiled) return
    const secrets = new Map<string, XdsResource>()
    for (const need of compiled.secretNeeds) {
      const secret = deps.secrets.resolve(need)
      // Its authority or certificate is not ready yet: `refresh` publishes the table then.
      if (!secret) return
      secrets.set(need.name, secret)
    }
    const before = feed.table.value?.resources.get(typeUrls.secret)
    const same =
      before !== undefined &&
      before.size === secrets.size &&
      [...secrets].every(([name, { version }]) => before.get(name)?.version === version)
    if (same && feed.compiled === compiled) return
    if (feed.compiled?.problems !== compiled.problems) leftOut = undefined
    feed.compiled = compiled
    const resources = new Map<TypeUrl, ReadonlyMap<string, XdsResource>>(compiled.resources)
    resources.set(typeUrls.secret, same ? before : secrets)
    serial += 1
    deps.progress.sent(proxy, serial, markRead.value)
    feed.table.set({ mark: serial, resources })
  }

  /**
   * Publishes tables. Rows that the compiler held back are quarantined, and the affected proxies get tables without
   * them.
   */
  function publishAll(proxies: Iterable<string>): void {
    publishEach(proxies)
    for (let held = deps.compiler.drainHeld(); held.rows.length > 0; held = deps.compiler.drainHeld()) {
      deps.quarantine.keep(held.rows)
      forgetNames(held.rows)
      publishEach(held.touched)
    }
  }

  function forgetNames(rows: readonly HeldRow[]): void {
    const gone = rows.map(
      ({ row: { key, stamp } }): Version => ({ key, stamp, revision: markRead.value, state: 'deleted' }),
    )
    const meshes = deps.names.apply(gone)
    if (meshes.size > 0) deps.namesChanged(meshes)
  }

  function publishEach(proxies: Iterable<string>): void {
    if (!complete) return
    for (const proxy of proxies) {
      const feed = feeds.get(proxy)
      if (!feed) continue
      try {
        publish(proxy, feed)
      } catch (thrown) {
        deps.observer?.failed()
        // A proxy whose table cannot be compiled keeps its last one. All others are published.
        deps.log.error({ proxy, err: thrown }, `cannot compile the table of a proxy: ${messageOf(thrown)}`)
      }
    }
  }

  function withoutHeld(version: Version): Version {
    const { row, ...rest } = version
    return row && deps.compiler.isHeld(row) ? { ...rest, state: 'deleted' } : version
  }

  async function step(): Promise<void> {
    const { revision } = await deps.store.mark()
    if (revision <= markRead.value) return
    const sinceMs = deps.clock.monotonicMs()
    const causes = deps.trace?.isOn ? await deps.trace.causes(markRead.value, revision) : []
    const versions = await follower.readTo(revision)
    if (closed) return
    if (deps.trace) deps.trace.compile(causes, revision, versions.length, () => compile(versions, revision, sinceMs))
    else compile(versions, revision, sinceMs)
    deps.marked(versions)
  }

  function compile(versions: readonly Version[], revision: number, sinceMs: number): void {
    const touched = deps.compiler.apply(versions, revision)
    const meshes = deps.names.apply(versions.map(withoutHeld))
    markRead.set(revision)
    const isFirst = !complete && versions.some(({ key, state }) => state === 'live' && deps.completes(key))
    complete ||= isFirst
    publishAll(isFirst ? feeds.keys() : touched)
    deps.progress.compiled(revision)
    deps.observer?.compiled(deps.clock.monotonicMs() - sinceMs)
    if (isFirst) deps.namesChanged(new Set(deps.names.meshes()))
    else if (meshes.size > 0) deps.namesChanged(meshes)
  }

  /** Resolves when everything up to the newest mark is compiled. Concurrent calls share one loop. */
  function run(): Promise<void> {
    if (running) again = true
    running ??= loop()
    return running
  }

  async function loop(): Promise<void> {
    try {
      do {
        again = false
        await step()
      } while (again && !closed)
    } catch (thrown) {
      deps.log.error({ err: thrown }, `cannot read the store: ${messageOf(thrown)}`)
      retry?.[Symbol.dispose]()
      retry = deps.clock.after(retryMs, () => void run())
    } finally {
      running = undefined
    }
  }

  const listening = deps.store.onMark(() => void run())

  return {
    /** The newest mark that is compiled. */
    mark: markRead as Pick<Latest<number>, 'value'>,
    /** Reads and compiles the whole store. */
    start: run,
    /** Resolves to true when this mark is compiled, or to false after this time. */
    async reaches(mark: number, withinMs: number): Promise<boolean> {
      if (markRead.value >= mark) return true
      void run()
      const stop = new AbortController()
      using _timer = deps.clock.after(withinMs, () => stop.abort())
      for await (const newest of markRead.watch(stop.signal)) if (newest >= mark) return true
      return markRead.value >= mark
    },
    /** Publishes tables for a proxy that has opened a stream. */
    open(proxy: string, facts: ProxyFacts): { readonly table: Latest<ResolvedTable | undefined>; close(): void } {
      const feed: Feed = { table: createLatest<ResolvedTable | undefined>(undefined), facts, compiled: undefined }
      feeds.set(proxy, feed)
      publishAll([proxy])
      return {
        table: feed.table,
        close() {
          if (feeds.get(proxy) !== feed) return
          feeds.delete(proxy)
          leftOut = undefined
          deps.progress.gone(proxy)
        },
      }
    },
    /** Publishes the tables of these proxies (or of all) again, after a secret or an exclusion has changed. */
    refresh(proxies: Iterable<string> = feeds.keys()): void {
      publishAll([...proxies])
    },
    /** The serial of the newest table of any proxy. Proxies answer tables by serial. */
    serial: (): number => serial,
    /** The newest published resource of a proxy under a name. */
    resourceOf: (proxy: string, typeUrl: TypeUrl, name: string): XdsResource | undefined =>
      feeds.get(proxy)?.table.value?.resources.get(typeUrl)?.get(name),
    /** The newest published table of a proxy with a stream, with its secrets. */
    tableOf: (proxy: string): ResolvedTable | undefined => feeds.get(proxy)?.table.value,
    problemsOf: (proxy: string): ProxyTable['problems'] => feeds.get(proxy)?.compiled?.problems ?? [],
    /** Rows with a part that the table of a live proxy lacks. */
    leftOut(): readonly LeftOut[] {
      leftOut ??= leftOutOf(
        [...feeds].flatMap(([proxy, { compiled }]) => (compiled ? [[proxy, compiled.problems]] : [])),
      )
      return leftOut
    },
    needsOf: (proxy: string): ProxyTable['secretNeeds'] => feeds.get(proxy)?.compiled?.secretNeeds ?? [],
    /** Whether the store holds a first round of the global, so that the absence of a row means its deletion. */
    isComplete: (): boolean => complete,
    live: (): readonly string[] => [...feeds.keys()],
    liveCount: (): number => feeds.size,
    close(): void {
      closed = true
      retry?.[Symbol.dispose]()
      listening[Symbol.dispose]()
    },
  }
}
export type Engine = ReturnType<typeof createEngine>
