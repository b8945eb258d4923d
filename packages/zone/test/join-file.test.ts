import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { encodeJoin } from '@zonemesh/shared/auth/join.ts'
import { createVirtualClock } from '@zonemesh/shared/env/clock.ts'
import { type Log, silentLog } from '@zonemesh/shared/env/log.ts'
import { expect, test } from 'vitest'
import { followJoinFile } from '../src/join-file.ts'

const pin = 'a'.repeat(64)
const tokenOf = (zone: string, serial: number) =>
  ['e30', Buffer.from(JSON.stringify({ Zone: zone, jti: serial })).toString('base64url'), 'x'].join('.')
const joinOf = (zone: string, serial: number) => ({ address: 'https://g:5685', token: tokenOf(zone, serial), pin })

/** A followed file, and what the zone makes of each text that is written into it. */
function scene(judge: (token: string) => string | undefined = () => undefined) {
  const folder = mkdtempSync(join(tmpdir(), 'zonemesh-join-'))
  const path = join(folder, 'east.join')
  const clock = createVirtualClock()
  const events: string[] = []
  let nextEvent = Promise.withResolvers<void>()
  const record = (text: string) => {
    events.push(text)
    nextEvent.resolve()
  }
  const log: Log = { ...silentLog, warn: (_fields, message) => record(message) }
  const tokens = {
    verify: async (_purpose: string, _mesh: string, token: string) => {
      const error = judge(token)
      return error === undefined ? { ok: true as const, value: {} } : { ok: false as const, error }
    },
  }
  const first = joinOf('east', 1)
  writeFileSync(path, encodeJoin(first))
  const file = followJoinFile({ clock, log, tokens }, { path, zone: 'east', first }, () => record('renewed'))
  return {
    file,
    events,
    first,
    async write(text: string) {
      nextEvent = Promise.withResolvers()
      writeFileSync(path, text)
      clock.advance(2_000)
      await nextEvent.promise
    },
    [Symbol.dispose]() {
      file.close()
      rmSync(folder, { recursive: true })
    },
  }
}

const still = 'the join file cannot be used, the former one stays in use: '

test('V12 another join string in the file counts within 2 s', async () => {
  using it = scene()
  expect(it.file.current()).toEqual(it.first)
  await it.write(`${encodeJoin(joinOf('east', 2))}\n`)
  expect(it.events).toEqual(['renewed'])
  expect(it.file.current()).toEqual(joinOf('east', 2))
  using more = scene()
  const several = { ...more.first, otherAddresses: ['https://h:5685'] }
  await more.write(encodeJoin(several))
  expect(more.file.current()).toEqual(several)
})

test('V12 a join string that is damaged, revoked or of another zone changes nothing and is reported', async () => {
  using it = scene((token) => (token === tokenOf('east', 9) ? 'the token was revoked' : undefined))
  await it.write('zmj1.half')
  await it.write(encodeJoin(joinOf('west', 2)))
  await it.write(encodeJoin(joinOf('east', 9)))
  expect(it.events).toEqual([
    `${still}the join string is damaged: it is cut off or was changed`,
    `${still}expected a token of zone "east", found one of zone "west"`,
    `${still}the token was revoked`,
  ])
  expect(it.file.current()).toEqual(it.first)
})

test('V12 a token with a key that this zone does not have yet is left for the global to check', async () => {
  using it = scene(() => 'there is no zone token signing key with serial 2')
  await it.write(encodeJoin(joinOf('east', 2)))
  expect(it.events).toEqual(['renewed'])
})
