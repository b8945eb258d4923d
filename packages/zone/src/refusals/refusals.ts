import type { Compiler } from '@zonemesh/core/compile/compiler.ts'
import { type RefusalSpec, refusal } from '@zonemesh/core/kinds/internal.ts'
import { specOf } from '@zonemesh/core/kinds/row.ts'
import { isOfRow } from '@zonemesh/core/model/exclusions.ts'
import { messageOf, shortHash, unreachable } from '@zonemesh/shared/base/base.ts'
import type { Log } from '@zonemesh/shared/env/log.ts'
import { keyText, parseKeyText } from '@zonemesh/shared/resource/resource.ts'
import type { Change, Store, Version } from '@zonemesh/shared/store/store.ts'
import type { Engine } from '../engine/engine.ts'
import type { Refusal } from '../xds/ads-state.ts'
import { createSearches, type SearchEffect } from './search.ts'

interface Deps {
  readonly store: Store
  readonly zone: string
  readonly compiler: Compiler
  readonly engine: () => Engine
  readonly log: Log
  /** A verdict was added or removed. */
  readonly changed: () => void
  /** Whether other processes of the zone find guilty parts too. */
  readonly isShared: boolean
}

/**
 * Handles what Envoys of this zone refuse. The parts that changed are left out at once. A search finds the guilty ones,
 * which stay out until their rows are written again; all others are served. Guilty parts are kept in the store: a
 * restarted zone would otherwise send them again to Envoys that may hold no earlier configuration.
 */
export function createRefusals(deps: Deps) {
  const searches = createSearches()
  const guilty = new Map<string, RefusalSpec>()
  /** By search, the serial of the table that was published after its last effects. */
  const awaited = new Map<string, number>()

  const rowKey = (source: string) => ({
    origin: deps.zone,
    kind: 'Refusal',
    mesh: parseKeyText(source).mesh,
    name: shortHash(source),
  })

  function store(changes: readonly Change[], intent: string): void {
    deps.store.commit({ changes, subject: 'mesh-system:control-plane', intent }).catch((cause: unknown) => {
      deps.log.error(
        { reason: messageOf(cause) },
        'cannot store what an Envoy refused: a restarted zone would send it again',
      )
    })
  }

  function perform(key: string, proxy: string, resource: string, effects: readonly SearchEffect[]): void {
    if (effects.length === 0) return
    const touched = new Set<string>()
    for (const effect of effects) {
      const { source, hash } = effect.suspect
      switch (effect.type) {
        case 'exclude':
          for (const affected of deps.compiler.exclude(source, hash)) touched.add(affected)
          break
        case 'readmit':
          for (const affected of deps.compiler.readmit(source, hash)) touched.add(affected)
          break
        case 'guilty': {
          const spec = { source, hash, proxy, resource, reason: effect.detail }
          guilty.set(source, spec)
          store([{ op: 'put', key: rowKey(source), labels: {}, spec }], `refused by ${proxy}`)
          deps.log.warn(
            { source, proxy, resource },
            `an Envoy refused this part, which is left out until its row is written again: ${effect.detail}`,
          )
          break
        }
        default:
          unreachable(effect)
      }
    }
    deps.engine().refresh(touched)
    awaited.set(key, deps.engine().serial())
    deps.changed()
  }

  /** Another replica has found a guilty part, or serves one again: this one does the same. */
  function follow(versions: readonly Version[]): void {
    const touched = new Set<string>()
    for (const { key, row } of versions) {
      if (key.kind !== refusal.name || key.origin !== deps.zone) continue
      const spec = row && specOf(refusal, row)
      const known = [...guilty.values()].find(({ source }) => rowKey(source).name === key.name)
      if (!spec && known) {
        guilty.delete(known.source)
        for (const proxy of deps.compiler.readmit(known.source, known.hash)) touched.add(proxy)
      }
      if (!spec || guilty.get(spec.source)?.hash === spec.hash) continue
      guilty.set(spec.source, spec)
      for (const proxy of deps.compiler.exclude(spec.source, spec.hash)) touched.add(proxy)
    }
    if (touched.size > 0) deps.engine().refresh(touched)
  }

  return {
    /** Excludes the refused parts in the store. Called once, before the first proxy is served. */
    async load(): Promise<void> {
      for (const row of await deps.store.scan({ kind: 'Refusal', origin: deps.zone })) {
        const spec = specOf(refusal, row)
        if (!spec || !(await deps.store.get(parseKeyText(spec.source)))?.row) continue
        guilty.set(spec.source, spec)
        deps.compiler.exclude(spec.source, spec.hash)
      }
    },
    /** A proxy refused the content of a resource whose parts come from rows. */
    refused(proxy: string, { typeUrl, name, version, contributions, detail }: Refusal): void {
      const resource = deps.engine().resourceOf(proxy, typeUrl, name)
      // A newer version was already sent, and its own verdict counts.
      if (resource?.version !== version) return
      const suspects = contributions.map((source) => ({ source, hash: resource.contributions?.get(source) ?? '' }))
      const key = `${proxy} ${name}`
      perform(key, proxy, name, searches.refused(key, suspects, detail))
    },
    /** A proxy has answered every table up to this serial. */
    served(proxy: string, serial: number): void {
      for (const key of searches.keys()) {
        if (!key.startsWith(`${proxy} `) || serial < (awaited.get(key) ?? 0)) continue
        perform(key, proxy, key.slice(proxy.length + 1), searches.accepted(key))
      }
    },
    /** Rows were written: their parts are served again and judged again. */
    marked(versions: readonly Version[]): void {
      if (deps.isShared) follow(versions)
      const ended: Change[] = []
      for (const version of versions) {
        const row = keyText(version.key)
        searches.drop(row)
        for (const source of [...guilty.keys()]) {
          if (!isOfRow(source, row)) continue
          guilty.delete(source)
          ended.push({ op: 'delete', key: rowKey(source) })
        }
      }
      if (ended.length === 0) return
      store(ended, 'try parts of rows that were written again')
      deps.changed()
    },
    /** The stream of the proxy has closed: tables that it had not answered will not be answered. */
    gone(proxy: string): void {
      for (const key of searches.keys()) {
        if (key.startsWith(`${proxy} `)) perform(key, proxy, key.slice(proxy.length + 1), searches.end(key))
      }
    },
    verdicts: (): readonly RefusalSpec[] => [...guilty.values()],
  }
}
export type Refusals = ReturnType<typeof createRefusals>
