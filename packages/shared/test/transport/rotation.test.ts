import { expect, test } from 'vitest'
import { err, ok } from '../../src/base/base.ts'
import { dialInTurn } from '../../src/transport/rotation.ts'
import type { Channel, Dialer, DialFailure } from '../../src/transport/transport.ts'

const signal = () => new AbortController().signal

/** Dialers whose outcomes a test changes, and the calls that they got. */
function scene(...outcomes: (DialFailure | 'works')[]) {
  const calls: string[] = []
  const dialers = outcomes.map((_outcome, at): Dialer => {
    const channel: Channel & Disposable = {
      ...{ send: () => true, drained: async () => {}, onMessage() {}, end() {}, cut() {} },
      ended: Promise.resolve({ refused: false, reason: String(at) }),
      [Symbol.dispose]() {},
    }
    return {
      async dial() {
        calls.push(`dial ${at}`)
        const outcome = outcomes[at]
        return outcome === 'works' || outcome === undefined ? ok(channel) : err(outcome)
      },
      forget: () => void calls.push(`forget ${at}`),
    }
  })
  const dialer = dialInTurn(dialers)
  return {
    outcomes,
    dialer,
    /** The calls since the last look. */
    calls: () => calls.splice(0),
    async dial() {
      const dialled = await dialer.dial(signal())
      return dialled.ok ? (await dialled.value.ended).reason : dialled.error
    },
  }
}
const away: DialFailure = { refused: false, reason: 'cannot reach a' }
const other: DialFailure = { refused: true, reason: 'expected a certificate authority at b' }

test('TR12 the addresses of a peer are dialled in turn, from the one that worked last', async () => {
  const { outcomes, dial, calls, dialer } = scene(away, other, 'works')
  expect([await dial(), calls()]).toEqual(['2', ['dial 0', 'forget 0', 'dial 1', 'forget 1', 'dial 2']])
  expect([await dial(), calls()]).toEqual(['2', ['dial 2']])
  outcomes.splice(0, 3, 'works', 'works', away)
  expect([await dial(), calls()]).toEqual(['0', ['dial 2', 'forget 2', 'dial 0']])
  // The channel was broken, which shows only when it is used.
  dialer.forget()
  expect([await dial(), calls()]).toEqual(['1', ['forget 0', 'dial 1']])
})

test('TR12 a failure names all addresses, and is a refusal only if each of them refuses', async () => {
  const { outcomes, dial, calls, dialer } = scene(away, other)
  expect(await dial()).toEqual({ refused: false, reason: `${away.reason}; ${other.reason}` })
  calls()
  // Every address has been tried, so the next attempt begins where this one began.
  dialer.forget()
  expect([calls(), await dial(), calls()[0]]).toEqual([[], expect.anything(), 'dial 0'])
  outcomes.splice(0, 1, other)
  expect(await dial()).toMatchObject({ refused: true })
  expect(await dialer.dial(AbortSignal.abort())).toEqual({ ok: false, error: { refused: false, reason: 'stopped' } })
})
