import type { Traceparent } from '../env/trace.ts'
import { keyText, type Origin } from '../resource/resource.ts'
import { HorizonError } from '../store/errors.ts'
import type { Position, Store, Version } from '../store/store.ts'
import type { ReplaceReason } from './log/messages.ts'
import type { Candidate, OutboundEffect, OutboundEvent } from './log/outbound.ts'
import type { Sight } from './log/who-sees.ts'
import type { Marks } from './marks.ts'

interface Deps {
  readonly store: Store
  readonly sight: Sight
  /** The origins that this store can name completely at a revision. */
  readonly originsAt: (at: number, reason: ReplaceReason) => Promise<readonly Origin[]>
  readonly changesSince: Store['changesSince']
  readonly marks?: Pick<Marks, 'read'>
  readonly causesBetween?: CausesBetween
}

/** The trace contexts of the commits after one revision up to another. */
export type CausesBetween = (after: number, through: number) => Promise<readonly Traceparent[]>

const readLimit = 500

/** Performs the reads that the outbound step requests, one at a time, and returns its next event. */
export function createReads({ store, sight, originsAt, changesSince, marks, causesBetween }: Deps) {
  const needsBefore = ({ key, row }: Version) => sight.reach(key) === 'by-row' && !(row && sight.sees(row))

  async function withBefore(version: Version, after: number): Promise<Candidate> {
    const before = (await store.history(version.key)).find((former) => former.revision <= after)?.row
    return before ? { version, before } : { version }
  }

  async function traced(
    after: number,
    { mark, through = mark }: { readonly mark: Position; readonly through?: Position },
  ) {
    const traceparents = (await causesBetween?.(after, through.revision)) ?? []
    return traceparents.length > 0 ? { traceparents } : {}
  }

  async function read(effect: Exclude<OutboundEffect, { type: 'send' }>): Promise<OutboundEvent> {
    switch (effect.type) {
      case 'read-mark': {
        const { after } = effect
        const found = marks ? await marks.read(after) : { mark: await store.mark() }
        // Only a round of changes starts after a revision.
        const isTraced = causesBetween && after !== undefined && found.mark.revision > after
        return { type: 'marked', ...found, ...(isTraced ? await traced(after, found) : {}) }
      }
      case 'read-origins':
        return { type: 'origins', origins: await originsAt(effect.at, effect.reason) }
      case 'read-rows': {
        const after = effect.after === undefined ? {} : { after: effect.after }
        const rows = await store.scan({ origin: effect.origin }, { at: effect.at, limit: readLimit, ...after })
        const last = rows.at(-1)
        return { type: 'rows', rows, ...(rows.length === readLimit && last ? { next: keyText(last.key) } : {}) }
      }
      case 'read-changes': {
        const resume = effect.resume === undefined ? {} : { resume: effect.resume }
        const page = { limit: readLimit, ...resume, ...(sight.origin === undefined ? {} : { origin: sight.origin }) }
        const { versions, next } = await changesSince(effect.after, effect.through, page)
        const candidates: Candidate[] = []
        for (const version of versions)
          candidates.push(needsBefore(version) ? await withBefore(version, effect.after) : { version })
        return { type: 'changes', candidates, ...(next === undefined ? {} : { next }) }
      }
    }
  }

  return async (effect: Exclude<OutboundEffect, { type: 'send' }>): Promise<OutboundEvent> => {
    try {
      return await read(effect)
    } catch (cause) {
      if (cause instanceof HorizonError) return { type: 'lost' }
      throw cause
    }
  }
}
