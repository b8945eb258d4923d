import { keyText, parseKeyText } from '@zonemesh/shared/resource/resource.ts'
import type { Version } from '@zonemesh/shared/store/store.ts'
import { compiledKinds } from '../registry.ts'
import type { Crash } from '../view/crash.ts'
import type { Units } from '../view/units.ts'
import { type HeldRow, rowVersion, type View } from '../view/view.ts'
import { findCulprits } from './culprits.ts'

const blameByKind = new Map(compiledKinds.map(({ name, compiled }) => [name, compiled.blame]))
const neededKinds = new Set(compiledKinds.filter(({ compiled }) => compiled.needed).map(({ name }) => name))

/** The number of failing units that are healed, one after the other, in one table. */
const roundsMax = 32
const hopelessMax = 1000

/**
 * The rows that are held back because they do not match the schema of their kind or because they make units fail. A
 * failed unit names the rows that it read. The culprits among them are found by leaving rows out and compiling again;
 * this costs time but has no other effect.
 */
export function createQuarantine(units: Units, view: View) {
  let found: HeldRow[] = []
  let touched = new Set<string>()
  /** Rows of the newest mark. It is empty for the first mark, where all rows are new and newness proves nothing. */
  let newest: ReadonlySet<string> = new Set()
  let isFirst = true
  const revisionByRow = new Map<string, number>()
  /** Failures that no row explains. They are not searched again until one of their rows changes. */
  const hopeless = new Set<string>()

  const drain = () => {
    for (const name of units.drainTouched()) touched.add(name)
  }

  /** Rows that the failed unit read, sorted by likelihood. */
  function suspectsOf(crash: Crash, proxy: string): readonly string[] {
    const direct = new Set(crash.direct)
    const last = ({ kind }: { readonly kind: string }, text: string) =>
      // Without its own row a proxy has no table, so nothing can fail. Leaving the row out proves nothing.
      neededKinds.has(kind) ? 2 : text === proxy ? 1 : 0
    const rated = crash.all.flatMap((text) => {
      const row = view.stored(text)
      if (!row || view.isHeld(row)) return []
      const rank = [
        last(parseKeyText(text), text),
        newest.has(text) ? 0 : 1,
        direct.has(text) ? 0 : 1,
        blameByKind.get(row.key.kind) ?? 0,
        -(revisionByRow.get(text) ?? 0),
      ]
      return [{ text, rank }]
    })
    return rated.sort((a, b) => compareRanks(a.rank, b.rank)).map(({ text }) => text)
  }

  return {
    /** Records the changed rows of this mark and those that the view held back. */
    applied(versions: readonly Version[], unsound: readonly HeldRow[]): void {
      const mine = new Set<string>()
      for (const { key, row, revision } of versions) {
        const text = keyText(key)
        if (row) revisionByRow.set(text, revision)
        else revisionByRow.delete(text)
        if (row) mine.add(text)
      }
      newest = isFirst ? new Set() : mine
      isFirst = false
      found.push(...unsound)
    },
    /** Holds back the rows that make the table of a proxy fail, until the table compiles or no row is at fault. */
    heal(proxy: string, crashOf: () => Crash | undefined): void {
      for (let round = 0; round < roundsMax; round += 1) {
        const crash = crashOf()
        if (!crash) return
        const suspects = suspectsOf(crash, proxy)
        const name = `${crash.unit}\n${crash.reason}\n${suspects.map((text) => revisionByRow.get(text)).join()}`
        if (hopeless.has(name)) return
        let out: readonly string[] = []
        const leaveOut = (next: readonly string[]) => {
          const wanted = new Set(next)
          for (const text of out) if (!wanted.has(text)) view.release(text)
          const before = new Set(out)
          for (const text of next) {
            const row = before.has(text) ? undefined : view.stored(text)
            if (row) view.hold(text, rowVersion(row.stamp))
          }
          out = next
          drain()
        }
        const culprits = findCulprits(suspects, (left) => {
          leaveOut(left)
          return crashOf()?.unit !== crash.unit
        })
        leaveOut(culprits)
        if (culprits.length === 0) {
          // This is a limit and not a cache: a forgotten failure is only searched again.
          if (hopeless.size >= hopelessMax) hopeless.clear()
          hopeless.add(name)
          return
        }
        for (const text of culprits) {
          const row = view.stored(text)
          if (row) found.push({ row, reason: crash.reason })
        }
      }
    },
    /** The rows that were held back since the last call, and the proxies whose tables may differ as a result. */
    drain(): { readonly rows: readonly HeldRow[]; readonly touched: ReadonlySet<string> } {
      const drained = { rows: found, touched }
      found = []
      touched = new Set()
      return drained
    },
  }
}

function compareRanks(a: readonly number[], b: readonly number[]): number {
  for (const [at, value] of a.entries()) {
    const difference = value - (b[at] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}
