import { execFileSync } from 'node:child_process'
import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, test } from 'vitest'
import { createMachine, type Machine } from './machines.ts'
import { runPage } from './page-steps.ts'
import type { Folder } from './rig.ts'

const machines = new Map<string, Machine>()

beforeAll(async () => {
  for (const name of ['a', 'b']) machines.set(name, await createMachine())
  const [a = '', b = ''] = ['a', 'b'].map((name) => String(machineOf(name).pid))
  execFileSync('ip', ['link', 'add', 'line', 'netns', a, 'type', 'veth', 'peer', 'name', 'line', 'netns', b])
  for (const [index, name] of ['a', 'b'].entries())
    await machineOf(name).shell(`ip addr add 10.0.0.${index + 1}/24 dev line; ip link set line up`, '/')
  standInForScp(machineOf('a').folder, machineOf('b').folder)
})

const machineOf = (name: string): Machine => {
  const found = machines.get(name)
  if (!found) throw new Error(`the page names a machine "${name}"; there are: ${[...machines.keys()].join(', ')}`)
  return found
}

/** `scp FILE… 10.0.0.2:` on A copies into the home folder of B. There is no SSH between the two. */
function standInForScp(from: Folder, to: Folder): void {
  const path = join(from.path, 'bin/scp')
  writeFileSync(
    path,
    `#!/bin/sh\nset -e\nwhile [ "$#" -gt 1 ]; do cp "$1" '${to.path}'; shift; done\n[ "$1" = 10.0.0.2: ]\n`,
  )
  chmodSync(path, 0o755)
}

afterAll(async () => {
  for (const machine of machines.values()) await machine[Symbol.asyncDispose]()
})

test('UP22 every command of the tutorial on two machines works as printed, and its output is the one that the page shows', async () => {
  await runPage('docs/tutorial/two-machines.md', machineOf)
}, 180_000)
