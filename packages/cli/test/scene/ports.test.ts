import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import { expect, test } from 'vitest'
import { freePorts, keptPorts, planePorts } from '../../src/scene/ports.ts'

test('UP4 a port is the usual number or the next free one, and stays the same at each start', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'zonemesh-ports-'))
  const file = join(folder, 'ports.json')
  const [first = 0] = await freePorts(systemRandom, 1)
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(first, '127.0.0.1', () => resolve()))
  const wanted = new Map([
    ['a', first],
    ['b', first],
  ])
  const chosen = await keptPorts(file, wanted)
  expect(chosen.get('a')).toBeGreaterThan(first)
  expect(chosen.get('b')).toBeGreaterThan(chosen.get('a') ?? 0)
  await new Promise((resolve) => server.close(resolve))
  // The usual number is free again, but the scene keeps what it had. A new name gets a port that no other name has.
  const later = await keptPorts(file, new Map([...wanted, ['c', chosen.get('a') ?? 0]]))
  expect([later.get('a'), later.get('b')]).toEqual([chosen.get('a'), chosen.get('b')])
  expect(new Set(later.values()).size).toBe(3)
  expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual(Object.fromEntries(later))
  writeFileSync(file, '{"a": "many"}')
  await expect(keptPorts(file, wanted)).rejects.toThrow(/ports\.json: expected ports by name.*remove the file/)
  rmSync(folder, { recursive: true })
})

test('UP4 the planes of several zones have different usual ports, and the global has those of Kuma', () => {
  const ports = planePorts(['east', 'west', 'south'])
  expect(new Set(ports.values()).size).toBe(ports.size)
  expect([ports.get('global.api'), ports.get('global.sync'), ports.get('east.api')]).toEqual([5681, 5685, 5691])
})
