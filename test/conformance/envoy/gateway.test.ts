import { ok } from '@zonemesh/shared/base/base.ts'
import { silentLog } from '@zonemesh/shared/env/log.ts'
import { expect, test } from 'vitest'
import { table } from './resources.ts'
import { startEnvoy, startZone, until } from './rig.ts'

test('BS6 a builtin gateway starts without runtime values, because its layer gets an empty answer', async () => {
  const check = async () => ok({ service: 'edge', isBuiltinGateway: true, address: '127.0.0.1' })
  await using zone = await startZone({ deps: { bootstrap: { log: silentLog, tokenRequired: () => false, check } } })
  await using envoy = await startEnvoy(zone, 'edge-1')
  zone.table.set(table(1, {}))
  await until('it is live', async () => (await envoy.admin('/ready')).trim() === 'LIVE')
  expect(zone.sent().flatMap((send) => send.changed.map((one) => one.name))).toEqual(['gateway.listeners'])
  expect(envoy.log.filter((line) => /\[(warning|error|critical)\]/.test(line))).toEqual([])
})
