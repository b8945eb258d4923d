import type { Kind } from '@zonemesh/core/kinds/kind.ts'
import { parseSpec, reasonOf } from '@zonemesh/core/kinds/row.ts'
import { findKind, kinds } from '@zonemesh/core/registry.ts'
import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import { keyText, type ResourceKey } from '@zonemesh/shared/resource/resource.ts'
import { changesAfter, stateAt } from '@zonemesh/shared/store/state.ts'
import type { Store, Version } from '@zonemesh/shared/store/store.ts'
import { createSortedKeys, type SortedKeys } from './sorted-keys.ts'

/** The problems of stored rows, for users. */
export interface FieldReport {
  /**
   * Fields of resources that are stored but not served yet, one sentence each. At most 1,000; `unservedTotal` counts
   * all.
   */
  readonly unserved: readonly JsonObject[]
  readonly unservedTotal: number
  /** Rows that cannot be parsed and are not served. At most 1,000; `unparsedTotal` counts all. */
  readonly unparsed: readonly JsonObject[]
  readonly unparsedTotal: number
}

/** The reasons why a row is in the report. */
interface Note {
  readonly key: ResourceKey
  readonly warnings: readonly string[]
  readonly fault: string | undefined
}

const shownMax = 1_000
const nextTurn = () => new Promise((resolve) => setImmediate(resolve))

/**
 * An index of the store in memory: the keys of every public kind in the order of lists, and the problems of single
 * rows. So the cost of a page of a list is that of its rows, and the cost of a status is that of its content. The
 * index follows the marks of the store when a caller reads it, at the cost of the changes since the last read.
 */
export function createCatalogue(store: Store) {
  const keysByKind = new Map<string, SortedKeys>(kinds.map((kind) => [kind.name, createSortedKeys()]))
  /** By kind, then by key text: the order of the report is that of the registry, then that of keys. */
  const notesByKind = new Map<string, Map<string, Note>>(kinds.map((kind) => [kind.name, new Map()]))
  let indexedRevision: number | undefined
  let following: Promise<void> | undefined

  function note(kind: Kind, version: Version): void {
    const notes = notesByKind.get(kind.name)
    const text = keyText(version.key)
    if (!version.row || kind.adminOnly) return void notes?.delete(text)
    const parsed = parseSpec(kind, version.row)
    // The spec was parsed by the schema of this kind.
    const warnings = parsed.ok ? kind.unserved(parsed.value as never) : []
    const fault = parsed.ok ? undefined : reasonOf(parsed.error)
    if (warnings.length === 0 && fault === undefined) notes?.delete(text)
    else notes?.set(text, { key: version.key, warnings, fault })
  }

  function apply(versions: readonly Version[]): void {
    for (const [name, changed] of Map.groupBy(versions, ({ key }) => key.kind)) {
      const kind = findKind(name)
      if (!kind) continue
      for (const version of changed) note(kind, version)
      keysByKind.get(name)?.change(changed.map(({ key, row }) => ({ key, isLive: row !== undefined })))
    }
  }

  /** Reads the whole store. Other tasks run between two pages. */
  async function load(revision: number): Promise<void> {
    const all = new Map<string, ResourceKey[]>()
    for (const notes of notesByKind.values()) notes.clear()
    for await (const page of stateAt(store, revision)) {
      for (const version of page) {
        const kind = findKind(version.key.kind)
        if (!kind) continue
        note(kind, version)
        const keys = all.get(kind.name) ?? []
        keys.push(version.key)
        all.set(kind.name, keys)
      }
      await nextTurn()
    }
    for (const [kind, keys] of keysByKind) keys.load(all.get(kind) ?? [])
  }

  async function follow(): Promise<void> {
    const { revision } = await store.mark()
    if (revision === indexedRevision) return
    const changes = indexedRevision === undefined ? undefined : await changesAfter(store, indexedRevision, revision)
    if (changes) apply(changes)
    else {
      // If the load fails, the index is incomplete, and the next one must start again.
      indexedRevision = undefined
      await load(revision)
    }
    indexedRevision = revision
  }

  /** Resolves when the index contains everything up to the newest mark. */
  async function refresh(): Promise<void> {
    // A running refresh may have read an older mark.
    await following?.catch(() => undefined)
    following ??= follow().finally(() => {
      following = undefined
    })
    await following
  }

  return {
    /** Starts to read the store, so that the first caller does not wait for all of it. */
    warm: (): void => void refresh().catch(() => undefined),
    /** The keys of a kind in one mesh, or in all, by mesh, name and origin. */
    async list(kind: string, mesh: string | undefined) {
      await refresh()
      return (keysByKind.get(kind) ?? createSortedKeys()).range(mesh)
    },
    /** The keys with this kind, mesh and name, one per owner. */
    async named(kind: string, mesh: string, name: string): Promise<readonly ResourceKey[]> {
      await refresh()
      return keysByKind.get(kind)?.named(mesh, name) ?? []
    },
    async report(): Promise<FieldReport> {
      await refresh()
      const unserved: JsonObject[] = []
      const unparsed: JsonObject[] = []
      let unservedTotal = 0
      let unparsedTotal = 0
      for (const notes of notesByKind.values()) {
        for (const text of [...notes.keys()].sort()) {
          const found = notes.get(text)
          if (!found) continue
          const { kind, mesh, name, origin } = found.key
          const row = { kind, mesh, name, origin }
          unservedTotal += found.warnings.length
          for (const warning of found.warnings) if (unserved.length < shownMax) unserved.push({ ...row, warning })
          if (found.fault === undefined) continue
          unparsedTotal += 1
          if (unparsed.length < shownMax) unparsed.push({ ...row, reason: found.fault })
        }
      }
      return { unserved, unservedTotal, unparsed, unparsedTotal }
    },
  }
}
export type Catalogue = ReturnType<typeof createCatalogue>
