import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Machines, startMachines } from './machines.ts'
import { until } from './rig.ts'

let machines: Machines
beforeAll(async () => {
  machines = await startMachines(['a', 'b'])
})
afterAll(() => machines[Symbol.asyncDispose]())

/** The blocks of an output by their first line, which is a comment. */
const blocksOf = (output: string): readonly string[] => output.split(/^(?=# )/m).filter((block) => block.trim() !== '')

const nameByAddress: Readonly<Record<string, string>> = { '10.0.0.1': 'a', '10.0.0.2': 'b' }

/** Runs a block that is printed on the machine that its first line names; one without a machine runs on A. */
async function paste(block: string) {
  const name = nameByAddress[/^# On (\S+):/.exec(block)?.[1] ?? '10.0.0.1'] ?? ''
  const { shell, folder } = machines.get(name)
  const ran = await shell(block, folder.path)
  expect(ran.code, `${block}\n${ran.output}`).toBe(0)
  return ran
}

test('UP30 what up --on prints for each machine starts the scene there, and a request crosses', async () => {
  const { shell, folder } = machines.get('a')
  const print = 'zonemesh up --on global=10.0.0.1 --on east=10.0.0.1,west=10.0.0.2'
  const shop = join(folder.path, 'shop')
  await shell('zonemesh init shop', folder.path)
  const first = await shell(print, shop)
  expect(first.stderr).toContain('the global does not run yet at http://localhost:5681; on 10.0.0.1 run these')
  await paste(first.stdout)
  const second = await shell(print, shop)
  expect(second.code, second.output).toBe(0)
  const blocks = blocksOf(second.stdout)
  expect(blocks.map((block) => block.split('\n')[0])).toEqual([
    '# On 10.0.0.1: global, zone east, gateway-1',
    '# On 10.0.0.2: zone west, ingress-west, echo-1, echo-2',
    '# When all machines are done, wherever the global is reached:',
  ])
  for (const block of blocks.slice(0, 2)) await paste(block)
  await paste(blocks[2] ?? '')
  const curl = "curl -s -H 'host: shop.example.com' http://10.0.0.1:8080/"
  expect(blocks[2]).toContain(curl.replace(' -s', ''))
  await until(
    'the gateway on A reaches the service on B',
    () => shell(curl, folder.path),
    ({ stdout }) => stdout.includes('"zone":"west"'),
  )
  // Only the owner of a machine reads what lets a zone join.
  const modes = await machines.get('b').shell('stat -c %a *.join *.token', machines.get('b').folder.path)
  expect(new Set(modes.stdout.trim().split('\n'))).toEqual(new Set(['600']))
  expect(readFileSync(join(folder.path, 'zone-east.log'), 'utf8')).toContain('10.0.0.1:5685')
}, 180_000)
