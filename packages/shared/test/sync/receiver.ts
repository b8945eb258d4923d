import { keyText, type ResourceKey } from '../../src/resource/resource.ts'
import {
  createInbound,
  type InboundDeps,
  type InboundEffect,
  type InboundEvent,
  inboundDefaults,
  inboundStep,
} from '../../src/sync/log/inbound.ts'
import type { Delivered, ReplaceReason } from '../../src/sync/log/messages.ts'
import { sightOfGlobal } from '../../src/sync/log/who-sees.ts'
import { rules } from './mesh.ts'

export const at = (revision: number, store = 'g') => ({ store, revision, commitId: `c${revision}` })
export const keyOf = (origin: string, kind: string, name: string): ResourceKey => ({
  origin,
  kind,
  mesh: 'default',
  name,
})
export const live = (origin: string, kind: string, name: string, revision = 1): Delivered => {
  const key = keyOf(origin, kind, name)
  const stamp = { incarnation: 1, originRevision: revision, createdAtMs: 0, modifiedAtMs: 0 }
  return { key, stamp, state: 'live', row: { key, stamp, labels: {}, spec: {} } }
}
export const rows = (...found: Delivered[]): InboundEvent => ({ type: 'rows', rows: found, bytes: 100 * found.length })
export const mark = (revision: number): InboundEvent => ({ type: 'mark', position: at(revision) })
export const replace = (origins: string[], revision: number, reason: ReplaceReason = 'behind'): InboundEvent => ({
  type: 'replace',
  origins,
  position: at(revision),
  reason,
})

/** A zone that receives from the global. */
export function receiver(
  position?: ReturnType<typeof at>,
  overrides: Partial<InboundDeps> = {},
  uncovered: readonly string[] = [],
) {
  const state = createInbound('g', position, uncovered)
  const facts = { owner: 'global', holds: true, relays: true, sight: sightOfGlobal(rules, 'west') }
  const deps = { ...inboundDefaults, ...facts, ...overrides }
  return (event: InboundEvent): InboundEffect[] => inboundStep(state, event, deps)
}
export const listed = (keys: readonly ResourceKey[], otherOrigins: string[] = [], incarnation = 1): InboundEvent => ({
  type: 'listed',
  rows: keys.map((key) => ({ key, incarnation })),
  otherOrigins,
})
export const changesIn = (effects: InboundEffect[]) =>
  effects.flatMap((effect) =>
    effect.type === 'apply' ? effect.changes.map((change) => `${change.op} ${keyText(change.key)}`) : [],
  )
