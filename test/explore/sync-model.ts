import { keyText, type ResourceKey, type Row } from '@zonemesh/shared/resource/resource.ts'
import { planRound } from '@zonemesh/shared/store/plan.ts'
import type { Change, Position, Version } from '@zonemesh/shared/store/store.ts'
import type { OutboundEffect, OutboundEvent } from '@zonemesh/shared/sync/log/outbound.ts'
import { type SightRules, sightOfGlobal, sightOfZone } from '@zonemesh/shared/sync/log/who-sees.ts'

const rules: SightRules = {
  travelOf: (kind) =>
    kind === 'Relayed' ? 'zone-relayed' : kind === 'Policy' || kind === 'Chosen' ? 'global-to-zones' : 'internal',
  seenBy: new Map([['Chosen', (row, zone) => row.spec['zone'] === zone]]),
}

/** The view of zone west, as the global and as west itself hold it. */
export const outboundSight = sightOfZone(rules, 'west')
export const inboundSight = sightOfGlobal(rules, 'west')

const keyFrom = (text: string): ResourceKey => {
  const [origin = '', kind = '', name = ''] = text.split(' ')
  return { origin, kind, mesh: '', name }
}
export const put = (text: string, spec: Record<string, string> = {}): Change => ({
  op: 'put',
  key: keyFrom(text),
  labels: {},
  spec,
})
export const remove = (text: string): Change => ({ op: 'delete', key: keyFrom(text) })

/** The rows of a store by key text, including tombstones; changed by the rules of every store. */
export type Rows = Map<string, Version>

export function applyTo(rows: Rows, changes: readonly Change[], revision: number): readonly Version[] {
  const plan = planRound([{ changes, subject: '', intent: '' }], {
    newest: (text) => rows.get(text),
    incarnation: 1,
    head: { store: '', revision: revision - 1, commitId: '' },
    nowMs: 0,
    random: { bytes: (length) => new Uint8Array(length) },
  })
  if (!plan.outcome.ok) throw new Error('the model commits without expectations')
  const { written } = plan.outcome
  for (const version of written) rows.set(keyText(version.key), Object.freeze(version))
  return written
}

/** A complete log, of which a scene shows a growing part. Every commit is a mark. */
export function createLog(commits: readonly (readonly Change[])[]) {
  const versions: Version[] = []
  const rows: Rows = new Map()
  commits.forEach((changes, index) => {
    versions.push(...applyTo(rows, changes, index + 1))
  })
  const at = (revision: number) => {
    const newest = new Map<string, Version>()
    for (const version of versions) if (version.revision <= revision) newest.set(keyText(version.key), version)
    return newest
  }
  const position = (revision: number): Position => ({ store: 'global-store', revision, commitId: `c${revision}` })

  /** The result of a read when the log has `head` commits and keeps versions from `horizon` on; one row per page. */
  function answer(effect: Exclude<OutboundEffect, { type: 'send' }>, head: number, horizon: number): OutboundEvent {
    switch (effect.type) {
      case 'read-mark':
        // A round may end at an earlier mark than the newest.
        return effect.after !== undefined && head - effect.after >= 2
          ? { type: 'marked', mark: position(head), through: position(head - 1) }
          : { type: 'marked', mark: position(head) }
      case 'read-origins':
        return effect.at < horizon ? { type: 'lost' } : { type: 'origins', origins: ['global', 'east'] }
      case 'read-rows': {
        if (effect.at < horizon) return { type: 'lost' }
        const all = [...at(effect.at)].sort(([a], [b]) => (a < b ? -1 : 1)).flatMap(([, version]) => version.row ?? [])
        const page = all.filter((row) => row.key.origin === effect.origin && keyText(row.key) > (effect.after ?? ''))
        const [first] = page
        return {
          type: 'rows',
          rows: first ? [first] : [],
          ...(first && page.length > 1 ? { next: keyText(first.key) } : {}),
        }
      }
      case 'read-changes': {
        if (effect.after < horizon) return { type: 'lost' }
        const changed = [...at(effect.through).values()].filter((version) => version.revision > effect.after)
        const order = (version: Version) => `${version.revision}/${keyText(version.key)}`
        const page = changed
          .filter((version) => order(version) > (effect.resume ?? ''))
          .sort((a, b) => (order(a) < order(b) ? -1 : 1))
        const [version] = page
        if (!version) return { type: 'changes', candidates: [] }
        const before = at(effect.after).get(keyText(version.key))?.row
        return {
          type: 'changes',
          candidates: [before ? { version, before } : { version }],
          ...(page.length > 1 ? { next: order(version) } : {}),
        }
      }
    }
  }

  /** The content of this log at a revision that zone west must hold: key text → origin revision. */
  function projection(revision: number): Map<string, number> {
    const seen = [...at(revision).values()]
      .flatMap((version) => version.row ?? [])
      .filter((row) => outboundSight.sees(row))
    return new Map(seen.map((row) => [keyText(row.key), row.stamp.originRevision]))
  }

  return { answer, projection, position, length: commits.length }
}

export type Log = ReturnType<typeof createLog>

/** The live rows of the origins that a log covers, in the form of a projection. */
export function held(rows: Rows): Map<string, number> {
  const live = [...rows.values()].flatMap((version): Row[] => (version.row ? [version.row] : []))
  return new Map(
    live.filter((row) => row.key.origin !== 'west').map((row) => [keyText(row.key), row.stamp.originRevision]),
  )
}

const text = (rows: Map<string, number>) => JSON.stringify([...rows].sort(([a], [b]) => (a < b ? -1 : 1)))

export function expectSame(found: Map<string, number>, expected: Map<string, number>, what: string): void {
  if (text(found) !== text(expected)) throw new Error(`${what}: expected ${text(expected)}, found ${text(found)}`)
}
