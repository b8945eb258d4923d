import { expect, test } from 'vitest'
import type { ResourceKey, Row } from '../../src/resource/resource.ts'
import type { Version } from '../../src/store/store.ts'
import type { Delivered } from '../../src/sync/log/messages.ts'
import {
  createOutbound,
  frameBytesMax,
  type OutboundEffect,
  type OutboundEvent,
  outboundStep,
} from '../../src/sync/log/outbound.ts'

const at = (revision: number) => ({ store: 's', revision, commitId: `c${revision}` })
const keyOf = (origin: string, kind: string, name: string): ResourceKey => ({ origin, kind, mesh: 'default', name })
const stamp = { incarnation: 1, originRevision: 1, createdAtMs: 1, modifiedAtMs: 1 }
const row = (key: ResourceKey, spec: Row['spec'] = {}): Row => ({ key, stamp, labels: {}, spec })
const live = (key: ResourceKey, spec: Row['spec'] = {}): Version => ({
  key,
  revision: 1,
  state: 'live',
  stamp,
  row: row(key, spec),
})
const deleted = (key: ResourceKey): Version => ({ key, revision: 1, state: 'deleted', stamp })

/** The reader sees Policy rows, Chosen rows that name it, and no others. By default each row has 40,000 bytes. */
const deps = {
  sight: {
    reach: ({ kind }: ResourceKey) =>
      (({ Policy: 'always', Chosen: 'by-row' }) as const)[kind as 'Policy'] ?? ('never' as const),
    sees: ({ key, spec }: Row) => key.kind === 'Policy' || spec['zone'] === 'west',
  },
  measure: (delivered: Delivered) => Number(delivered.row?.spec['bytes'] ?? 40_000),
}

/** A sender whose reader has revision 3 and enough credit. */
function createSender(credit = 1_000_000) {
  const state = createOutbound()
  const step = (event: OutboundEvent): OutboundEffect[] => outboundStep(state, event, deps)
  step({ type: 'credited', bytes: credit, frameBytes: frameBytesMax })
  return { step, open: () => step({ type: 'opened', position: at(3), reason: undefined, newest: at(3) }) }
}

const shown = (effects: readonly OutboundEffect[]): readonly string[] =>
  effects.map((effect) => {
    if (effect.type !== 'send') {
      const { type, ...rest } = effect
      return `${type} ${JSON.stringify(rest)}`
    }
    const { message } = effect
    if (message.type === 'rows') return message.rows.map(({ key, state }) => `${state} ${key.name}`).join()
    if (message.type === 'mark') return `mark ${message.position.revision}${effect.idle ? ' idle' : ''}`
    return `replace ${message.origins.join()} at ${message.position.revision}: ${message.reason}`
  })

test('Y13 origins that become late during a round of changes are announced in the next round', () => {
  const { step, open } = createSender()
  expect(shown(open())).toEqual(['read-mark {"after":3}'])
  expect(shown(step({ type: 'marked', mark: at(4) }))).toEqual(['read-changes {"after":3,"through":4}'])
  expect(step({ type: 'late', origins: ['north'], at: 0 })).toEqual([])
  const ended = step({ type: 'changes', candidates: [{ version: live(keyOf('global', 'Policy', 'a')) }] })
  expect(shown(ended)).toEqual(['live a', 'mark 4', 'read-mark {}'])
  const late = step({ type: 'marked', mark: at(4) })
  expect(shown(late)).toEqual(['replace north at 4: late', 'read-rows {"origin":"north","at":4}'])
  const rows = step({ type: 'rows', rows: [row(keyOf('north', 'Policy', 'n'))] })
  // Changes since then follow in the same round.
  expect(shown(rows)).toEqual(['live n', 'read-changes {"after":4,"through":4}'])
  expect(shown(step({ type: 'changes', candidates: [] }))).toEqual(['mark 4'])
})

test('Y13 origins that become late during a late round are announced in another one, and no origin twice', () => {
  const { step, open } = createSender()
  open()
  step({ type: 'marked', mark: at(3) })
  expect(shown(step({ type: 'late', origins: ['north'], at: 0 }))).toEqual(['read-mark {}'])
  step({ type: 'late', origins: ['south', 'north'], at: 0 })
  // Both events arrived before the round began.
  expect(shown(step({ type: 'marked', mark: at(3) }))[0]).toBe('replace north,south at 3: late')
  step({ type: 'late', origins: ['west'], at: 0 })
  step({ type: 'rows', rows: [] })
  step({ type: 'rows', rows: [] })
  expect(shown(step({ type: 'changes', candidates: [] }))).toEqual(['mark 3', 'read-mark {}'])
  expect(shown(step({ type: 'marked', mark: at(3) }))[0]).toBe('replace west at 3: late')
})

test('Y13 late origins wait for a mark that has all their rows', () => {
  const { step, open } = createSender()
  open()
  // Their last rows came with revision 5, while this mark was being read.
  step({ type: 'late', origins: ['north'], at: 5 })
  expect(shown(step({ type: 'marked', mark: at(4) }))).toEqual(['read-changes {"after":3,"through":4}'])
  expect(shown(step({ type: 'changes', candidates: [] }))).toEqual(['mark 4 idle', 'read-mark {}'])
  expect(shown(step({ type: 'marked', mark: at(5) }))[0]).toBe('replace north at 5: late')
})

test('Y13 an origin that a replacement names is no longer late, and others still are', () => {
  const { step } = createSender()
  step({ type: 'opened', position: undefined, reason: 'new', newest: at(5) })
  expect(shown(step({ type: 'marked', mark: at(5) }))).toEqual(['read-origins {"at":5,"reason":"new"}'])
  step({ type: 'late', origins: ['north', 'south'], at: 0 })
  expect(shown(step({ type: 'origins', origins: ['north'] }))[0]).toBe('replace north at 5: new')
  expect(shown(step({ type: 'rows', rows: [] }))).toEqual(['mark 5', 'read-mark {}'])
  expect(shown(step({ type: 'marked', mark: at(5) }))[0]).toBe('replace south at 5: late')
})

test('Y28 a reader whose round is pruned gets a replacement, and so does a reader with another history', () => {
  const { step, open } = createSender()
  open()
  step({ type: 'marked', mark: at(9) })
  expect(shown(step({ type: 'lost' }))).toEqual(['read-mark {}'])
  expect(shown(step({ type: 'marked', mark: at(9) }))).toEqual(['read-origins {"at":9,"reason":"behind"}'])
  const other = createSender()
  other.step({ type: 'opened', position: undefined, reason: 'diverged', newest: at(9) })
  expect(shown(other.step({ type: 'marked', mark: at(9) }))).toEqual(['read-origins {"at":9,"reason":"diverged"}'])
})

test('L8 a sender sends only with credit, and overdraws it by one frame', () => {
  const { step, open } = createSender(1)
  open()
  step({ type: 'marked', mark: at(4) })
  const candidates = ['a', 'b', 'c'].map((name) => ({ version: live(keyOf('global', 'Policy', name)) }))
  expect(shown(step({ type: 'changes', candidates }))).toEqual(['live a'])
  expect(shown(step({ type: 'credited', bytes: 39_999 }))).toEqual([])
  expect(shown(step({ type: 'credited', bytes: 1 }))).toEqual(['live b'])
  expect(shown(step({ type: 'credited', bytes: 80_000 }))).toEqual(['live c', 'mark 4'])
})

test('Y6 a frame has as many rows as fit into it, and at least one', () => {
  const { step, open } = createSender()
  open()
  step({ type: 'marked', mark: at(4) })
  step({ type: 'credited', bytes: 0, frameBytes: 10 ** 9 })
  const candidates = ['a', 'b', 'c'].map((name) => ({ version: live(keyOf('global', 'Policy', name)) }))
  // The largest frame has 64 KiB.
  expect(shown(step({ type: 'changes', candidates }))).toEqual(['live a', 'live b', 'live c', 'mark 4'])
})

test('Y31 a reader gets the deletion of rows that it may have seen, and nothing about rows that it never saw', () => {
  const { step, open } = createSender()
  open()
  step({ type: 'marked', mark: at(4) })
  const chosen = keyOf('global', 'Chosen', 'moved')
  const changes = step({
    type: 'changes',
    candidates: [
      { version: deleted(keyOf('global', 'Policy', 'gone')) },
      { version: live(chosen, { zone: 'east' }), before: row(chosen, { zone: 'west' }) },
      { version: live(keyOf('global', 'Chosen', 'foreign'), { zone: 'east' }) },
      {
        version: { ...deleted(keyOf('global', 'Chosen', 'declared')), declared: true },
        before: row(chosen, { zone: 'west' }),
      },
      { version: live(keyOf('global', 'Internal', 'own')) },
    ],
  })
  expect(shown(changes)).toEqual(['deleted gone', 'forgotten moved', 'deleted declared', 'mark 4'])
  const sent = changes.flatMap((effect) =>
    effect.type === 'send' && effect.message.type === 'rows' ? effect.message.rows : [],
  )
  expect(sent.map(({ declared }) => declared)).toEqual([undefined, undefined, true])
})

test('Y16 a mark without rows may wait, and a newer mark begins the next round at once', () => {
  const { step, open } = createSender()
  open()
  step({ type: 'marked', mark: at(9), through: at(5) })
  expect(shown(step({ type: 'changes', candidates: [] }))).toEqual(['mark 5 idle', 'read-mark {"after":5}'])
  step({ type: 'marked', mark: at(9) })
  expect(shown(step({ type: 'changes', candidates: [] }))).toEqual(['mark 9 idle'])
  expect(shown(step({ type: 'woken' }))).toEqual(['read-mark {"after":9}'])
  expect(step({ type: 'marked', mark: at(9) })).toEqual([])
})

test.each([
  ['4 KiB by default', undefined, 2048],
  ['at least 4 KiB', 1, 2048],
  ['at most 64 KiB', 10 ** 9, 32_768],
  ['as many bytes as the link carries in a second', 10_000, 5000],
])('Y6 a frame has %s, and a larger row has its own frame', (_case, frameBytes, half) => {
  const state = createOutbound()
  const step = (event: OutboundEvent): OutboundEffect[] => outboundStep(state, event, deps)
  step({ type: 'credited', bytes: 10 ** 9, ...(frameBytes === undefined ? {} : { frameBytes }) })
  step({ type: 'opened', position: at(3), reason: undefined, newest: at(3) })
  step({ type: 'marked', mark: at(4) })
  const candidates = [half, half, 1, 100_000, half, half + 1].map((bytes, index) => ({
    version: live(keyOf('global', 'Policy', `p${index}`), { bytes }),
  }))
  const frames = ['live p0,live p1', 'live p2', 'live p3', 'live p4', 'live p5', 'mark 4']
  expect(shown(step({ type: 'changes', candidates }))).toEqual(frames)
})

test('Y37 every page is read from the end of the former one, of each origin in turn, with the mark of the round', () => {
  const { step } = createSender()
  step({ type: 'opened', position: undefined, reason: 'new', newest: at(5) })
  step({ type: 'marked', mark: at(5) })
  const first = step({ type: 'origins', origins: ['global', 'north'] })
  expect(shown(first)).toEqual(['replace global,north at 5: new', 'read-rows {"origin":"global","at":5}'])
  const second = step({ type: 'rows', rows: [row(keyOf('global', 'Policy', 'a'))], next: 'a' })
  expect(shown(second)).toEqual(['live a', 'read-rows {"origin":"global","at":5,"after":"a"}'])
  expect(shown(step({ type: 'rows', rows: [] }))).toEqual(['read-rows {"origin":"north","at":5}'])
  expect(shown(step({ type: 'rows', rows: [] }))).toEqual(['mark 5'])
  step({ type: 'woken' })
  expect(shown(step({ type: 'marked', mark: at(9) }))).toEqual(['read-changes {"after":5,"through":9}'])
  const page = step({ type: 'changes', candidates: [], next: '7 b' })
  expect(shown(page)).toEqual(['read-changes {"after":5,"through":9,"resume":"7 b"}'])
})

test('Y37 a sender that waits for a read starts no other read, whatever it is notified of', () => {
  const { step, open } = createSender()
  const notifications: readonly OutboundEvent[] = [
    { type: 'woken' },
    { type: 'credited', bytes: 1 },
    { type: 'late', origins: ['north'], at: 0 },
  ]
  const notify = () => notifications.flatMap(step)
  expect(notify()).toEqual([])
  open()
  expect(notify()).toEqual([])
  // A page of a late round, then one of its changes.
  expect(shown(step({ type: 'marked', mark: at(4) })).at(-1)).toBe('read-rows {"origin":"north","at":4}')
  expect(notify()).toEqual([])
  expect(shown(step({ type: 'rows', rows: [], next: 'n' }))).toEqual([
    'read-rows {"origin":"north","at":4,"after":"n"}',
  ])
  expect(notify()).toEqual([])
  expect(shown(step({ type: 'rows', rows: [] }))).toEqual(['read-changes {"after":3,"through":4}'])
  expect(notify()).toEqual([])
  // The origins of a replacement.
  expect(shown(step({ type: 'lost' }))).toEqual(['read-mark {}'])
  expect(notify()).toEqual([])
  step({ type: 'marked', mark: at(9) })
  expect(notify()).toEqual([])
  expect(shown(step({ type: 'origins', origins: ['global'] }))[0]).toBe('replace global at 9: behind')
})

test('Y37 a sender that waits for credit starts no other read, and reads the newest mark afterwards', () => {
  const { step, open } = createSender(0)
  open()
  step({ type: 'marked', mark: at(4) })
  expect(step({ type: 'changes', candidates: [{ version: live(keyOf('global', 'Policy', 'a')) }] })).toEqual([])
  expect(step({ type: 'woken' })).toEqual([])
  expect(shown(step({ type: 'credited', bytes: 1 }))).toEqual(['live a', 'mark 4', 'read-mark {"after":4}'])
})

test('Y13 an origin that becomes late while a mark is read is replaced at the newest mark, not at a nearer one', () => {
  const { step, open } = createSender()
  open()
  step({ type: 'late', origins: ['north'], at: 0 })
  expect(shown(step({ type: 'marked', mark: at(9), through: at(5) }))[0]).toBe('replace north at 9: late')
})

test('Y37 an answer for a round that has ended is ignored', () => {
  const { step, open } = createSender()
  open()
  step({ type: 'marked', mark: at(3) })
  expect(step({ type: 'changes', candidates: [{ version: live(keyOf('global', 'Policy', 'a')) }] })).toEqual([])
})
