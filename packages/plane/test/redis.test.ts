import { createVirtualClock } from '@zonemesh/shared/env/clock.ts'
import { silentLog } from '@zonemesh/shared/env/log.ts'
import { createSeededRandom } from '@zonemesh/shared/env/random.ts'
import { expect, test } from 'vitest'
import { planeOptions } from '../src/config/plane-options.ts'
import { openStore } from '../src/lifecycle.ts'
import { redisOpener, redisStatus } from '../src/redis.ts'

const env = { clock: createVirtualClock(), random: createSeededRandom(1), log: silentLog }
const naming = { owner: 'the global', instance: 'one' }

test('RS1 Redis without a database that replicas share is refused with what is missing', async () => {
  const config = { redis: 'redis://r', historyRevisions: 100 }
  await expect(openStore(env, config, naming)).rejects.toThrow('--redis: expected --store postgres://… too')
})

test('RS1 a file with a password or an authority that cannot be read is named with its flag', async () => {
  const opener = (more: object) => redisOpener(env, { redis: 'redis://r', ...more }, 'one')
  await expect(opener({ redisPasswordFile: '/none/p' })).rejects.toThrow('--redis-password-file: cannot read /none/p')
  await expect(opener({ redisCaCertFile: '/none/c' })).rejects.toThrow('--redis-ca-cert-file: cannot read /none/c')
  expect(await redisOpener(env, {}, 'one')).toBeUndefined()
})

test('RS1 a wrong URL of Redis is an error of its setting, and its value is a secret', () => {
  expect(planeOptions.redis.schema.safeParse('redis://a,b').error?.issues[0]?.message).toMatch(/^expected one host/)
  expect(planeOptions.redis.secret).toBe(true)
})

test('RS6 the status shows whether Redis answers, and nothing without Redis', () => {
  const counts = { sent: 1, failed: 2, received: 3, ignored: 4, reconnects: 5, errors: 6 }
  const state = { phase: 'away', reason: 'Command timed out', sinceMs: 0 } as const
  expect(redisStatus({ state: () => state, counts: () => counts })).toEqual({
    redis: { phase: 'away', reason: 'Command timed out', since: '1970-01-01T00:00:00.000Z', ...counts },
  })
  expect(redisStatus(undefined)).toEqual({})
})
