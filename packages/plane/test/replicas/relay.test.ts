import { err, type JsonObject, ok } from '@zonemesh/shared/base/base.ts'
import { createVirtualClock } from '@zonemesh/shared/env/clock.ts'
import { silentLog } from '@zonemesh/shared/env/log.ts'
import { createSeededRandom } from '@zonemesh/shared/env/random.ts'
import { createMemoryContents, createMemoryStore } from '@zonemesh/shared/store/memory.ts'
import { expect, test } from 'vitest'
import { createMemorySealer } from '../../src/authority/seal.ts'
import { joinRelay, type RelayHandlers } from '../../src/replicas/relay.ts'

const settle = async () => {
  for (let turn = 0; turn < 60; turn += 1) await Promise.resolve()
}

/** Replicas over one store, with one clock. Wake-ups do not arrive, unless `wake` is called. */
function scene() {
  const clock = createVirtualClock(1_000_000_000)
  const random = createSeededRandom(1)
  const sealer = createMemorySealer()
  const contents = createMemoryContents({ clock, random })
  const listeners = new Set<() => void>()
  const open = (instance: string, handlers: RelayHandlers = {}, key = sealer) => {
    const { notes } = createMemoryStore({ clock, random }, { contents })
    const onWake = (listener: () => void) => {
      listeners.add(listener)
      return { [Symbol.dispose]: () => void listeners.delete(listener) }
    }
    return joinRelay({ notes: { ...notes, onWake }, clock, log: silentLog, random, sealer: key }, instance, handlers)
  }
  const pass = async (ms: number) => {
    for (let passed = 0; passed < ms; passed += 50) {
      clock.advance(50)
      await settle()
    }
  }
  const wake = async () => {
    for (const listener of listeners) listener()
    clock.advance(5)
    await settle()
  }
  return { open, pass, wake, contents, clock, notes: () => [...contents.notes.keys()] }
}

const forever = () => new AbortController().signal
const echo: RelayHandlers = { echo: async (request) => ok({ ...request, by: 'two' }) }

test('ZR13 a replica answers what another one asks, after wake-ups or by its own looks, and no letter stays', async () => {
  const { open, pass, wake, notes } = scene()
  const [one] = [open('one'), open('two', echo)]
  const first = one.ask('two', 'echo', { n: 1 }, forever())
  await settle()
  await wake()
  await wake()
  expect(await first).toEqual(ok({ n: 1, by: 'two' }))
  const second = one.ask('two', 'echo', { n: 2 }, forever())
  await pass(1_500)
  expect(await second).toEqual(ok({ n: 2, by: 'two' }))
  await settle()
  expect(notes()).toEqual([])
})

test('ZR13 a question that nobody answers ends after 10 s, one whose caller leaves ends at once, and none stays', async () => {
  const { open, pass, notes } = scene()
  const one = open('one')
  const unanswered = one.ask('gone', 'echo', {}, forever())
  await pass(10_050)
  expect(await unanswered).toEqual(err({ code: 'late', reason: 'the replica gone did not answer within 10 s' }))
  const caller = new AbortController()
  const left = one.ask('gone', 'echo', {}, caller.signal)
  await settle()
  caller.abort()
  expect(await left).toMatchObject({ ok: false, error: { code: 'cancelled' } })
  await settle()
  expect(notes()).toEqual([])
})

test('ZR13 an unknown question, a failing handler and a ninth question at once are answered with the reason', async () => {
  const { open, pass } = scene()
  const held = Promise.withResolvers<void>()
  const one = open('one')
  open('two', {
    async fails() {
      throw new Error('the disk is full')
    },
    async waits() {
      await held.promise
      return ok({})
    },
  })
  const ask = (name: string) => one.ask('two', name, {}, forever())
  const [unknown, fails] = [ask('other'), ask('fails')]
  await pass(1_500)
  expect(await unknown).toMatchObject({ ok: false, error: { code: 'unknown' } })
  expect(await fails).toEqual(err({ code: 'failed', reason: 'the disk is full' }))
  const waiting = Array.from({ length: 9 }, () => ask('waits'))
  await pass(1_500)
  held.resolve()
  await pass(1_500)
  const codes = (await Promise.all(waiting)).map((answer) => (answer.ok ? 'ok' : answer.error.code))
  expect(codes.sort()).toEqual(['busy', ...Array(8).fill('ok')])
})

test('ZR14 letters are sealed: a reader of the database finds no content, and a forged letter is dropped unanswered', async () => {
  const { open, pass, contents } = scene()
  let asked = 0
  const two: RelayHandlers = {
    token: async () => {
      asked += 1
      return ok({ token: 'secret-token' })
    },
  }
  const [one, forger] = [open('one'), open('forger', {}, createMemorySealer())]
  open('two', two)
  const texts: string[] = []
  const answer = one.ask('two', 'token', { name: 'secret-name' }, forever())
  for (let times = 0; times < 30; times += 1) {
    texts.push(JSON.stringify([...contents.notes]))
    await pass(50)
  }
  expect(await answer).toEqual(ok({ token: 'secret-token' }))
  expect(texts.some((text) => text.includes('mail/two/ask/'))).toBe(true)
  expect(texts.join()).not.toMatch(/secret-/)
  const forged = forger.ask('two', 'token', {}, forever())
  await pass(10_050)
  expect([(await forged).ok, asked]).toEqual([false, 1])
})

test('ZR13 letters that a dead process left are removed after an hour', async () => {
  const { open, pass, contents, clock, notes } = scene()
  const letter = (atMs: number): JsonObject => ({ atMs, sealed: 'x' })
  contents.notes.set('mail/dead/answer/1', letter(clock.wallMs() - 3_600_001))
  contents.notes.set('mail/dead/answer/2', letter(clock.wallMs() - 3_500_000))
  open('one')
  await pass(50)
  expect(notes()).toEqual(['mail/dead/answer/2'])
})
