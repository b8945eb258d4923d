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
import { keyText, parseKeyText, type ResourceKey } from '@zonemesh/shared/resource/resource.ts'
import { changesAfter, stateAt } from '@zonemesh/shared/store/state.ts'
import type { Store, Version } from '@zonemesh/shared/store/store.ts'
import { createLatest, type Latest } from '@zonemesh/shared/streams/latest.ts'
import type { Quarantine } from '../quarantine/quarantine.ts'
import type { Secrets } from '../secrets/secrets.ts'
import type { ResolvedTable } from '../xds/ads-state.ts'
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
   * False for a zone under a global: until a row says that a first round of the global is here, its tables would take from
   * Envoys what they have, because the store was lost and not because anybody meant it.
   */
  readonly startsComplete: boolean
  readonly completes: (key: ResourceKey) => boolean
  /** Names of these meshes are other ones now. */
  readonly namesChanged: (meshes: ReadonlySet<string>) => void
  /** A mark was compiled and handed out. */
  readonly marked: (versions: readonly Version[]) => void
}

/** One live proxy as the engine sees it. */
interface Feed {
  readonly table: Latest<ResolvedTable | undefined>
  facts: ProxyFacts
  compiled: ProxyTable | undefined
}

const retryMs = 1_000

const goneVersion = (text: string, revision: number): Version => ({
  key: parseKeyText(text),
  revision,
  state: 'forgotten',
  stamp: { incarnation: 0, originRevision: 0, createdAtMs: 0, modifiedAtMs: 0 },
})

/**
 * The loop from store to tables: reads what changed up to the newest mark, compiles what reads it, and hands new tables
 * to the streams of live proxies. Only marks are ever compiled.
 */
export function createEngine(deps: Deps) {
  const feeds = new Map<string, Feed>()
  const markRead = createLatest(0)
  /** Numbers tables: several may be of one mark, and each is answered for itself. */
  let serial = 0
  /** What the tables of all live proxies lack; undefined once one of them has changed. */
  let leftOut: readonly LeftOut[] | undefined
  /** Key texts of all rows that were read. */
  const known = new Set<string>()
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
      // Its authority or certificate is on the way; `refresh` comes back here.
      if (!secret) return
      secrets.set(need.name, secret)
    }
    const before = feed.table.value?.resources.get(typeUrls.secret)
    const same =
      before !== undefined &&
      before.size === secrets.size &&
      [...secrets].every(([name, one]) => before.get(name)?.version === one.version)
    if (same && feed.compiled === compiled) return
    if (feed.compiled?.problems !== compiled.problems) leftOut = undefined
    feed.compiled = compiled
    const resources = new Map<TypeUrl, ReadonlyMap<string, XdsResource>>(compiled.resources)
    resources.set(typeUrls.secret, same ? before : secrets)
    serial += 1
    deps.progress.sent(proxy, serial, markRead.value)
    feed.table.set({ mark: serial, resources })
  }

  /** What was held back on the way is told, and whom it concerns is served without it. */
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
        // One proxy whose table cannot be made keeps the last one; the others go on.
        deps.log.error({ proxy, err: thrown }, `cannot compile for a proxy: ${messageOf(thrown)}`)
      }
    }
  }

  /** What changed, or, where the log does not reach back so far, everything, and what is there no more. */
  async function readTo(revision: number): Promise<readonly Version[]> {
    const changes = markRead.value > 0 ? await changesAfter(deps.store, markRead.value, revision) : undefined
    if (changes) return changes
    const versions: Version[] = []
    for await (const page of stateAt(deps.store, revision)) versions.push(...page)
    const found = new Set(versions.map(({ key }) => keyText(key)))
    const gone = [...known].filter((text) => !found.has(text))
    return [...versions, ...gone.map((text) => goneVersion(text, revision))]
  }

  function withoutHeld(version: Version): Version {
    const { row, ...rest } = version
    return row && deps.compiler.isHeld(row) ? { ...rest, state: 'deleted' } : version
  }

  async function step(): Promise<void> {
    const { revision } = await deps.store.mark()
    if (revision <= markRead.value) return
    const versions = await readTo(revision)
    if (closed) return
    for (const { key, state } of versions) {
      if (state === 'live') known.add(keyText(key))
      else known.delete(keyText(key))
    }
    const touched = deps.compiler.apply(versions, revision)
    const meshes = deps.names.apply(versions.map(withoutHeld))
    markRead.set(revision)
    const isFirst = !complete && versions.some(({ key, state }) => state === 'live' && deps.completes(key))
    complete ||= isFirst
    publishAll(isFirst ? feeds.keys() : touched)
    deps.progress.compiled(revision)
    if (isFirst) deps.namesChanged(new Set(deps.names.meshes()))
    else if (meshes.size > 0) deps.namesChanged(meshes)
    deps.marked(versions)
  }

  /** Resolves when everything up to the newest mark is compiled, whoever asked first. */
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
    /** Reads everything for the first time. */
    start: run,
    /** Tables for a proxy that has a stream now. */
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
    /** Secrets are there or new, or a contribution was excluded: the tables of these proxies (or all) are made again. */
    refresh(proxies: Iterable<string> = feeds.keys()): void {
      publishAll([...proxies])
    },
    /** The number of the newest table of any proxy: what a proxy serves is told in these. */
    serial: (): number => serial,
    /** What a proxy was last given under a name. */
    resourceOf: (proxy: string, typeUrl: TypeUrl, name: string): XdsResource | undefined =>
      feeds.get(proxy)?.table.value?.resources.get(typeUrl)?.get(name),
    problemsOf: (proxy: string): ProxyTable['problems'] => feeds.get(proxy)?.compiled?.problems ?? [],
    /** Rows of which something is left out of the table of a live proxy. */
    leftOut(): readonly LeftOut[] {
      leftOut ??= leftOutOf(
        [...feeds].flatMap(([proxy, { compiled }]) => (compiled ? [[proxy, compiled.problems]] : [])),
      )
      return leftOut
    },
    needsOf: (proxy: string): ProxyTable['secretNeeds'] => feeds.get(proxy)?.compiled?.secretNeeds ?? [],
    /** Whether what is compiled is all that it should be, and not what is left of a lost store. */
    isComplete: (): boolean => complete,
    live: (): readonly string[] => [...feeds.keys()],
    close(): void {
      closed = true
      retry?.[Symbol.dispose]()
      listening[Symbol.dispose]()
    },
  }
}
export type Engine = ReturnType<typeof createEngine>
