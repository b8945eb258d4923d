import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { loadCommands } from '@zonemesh/cli/command-line.ts'
import { flagName } from '@zonemesh/plane/config/options.ts'
import { expect, test } from 'vitest'
import { createMachine } from './machines.ts'
import { serverOfPgDump, startDatabase } from './page-database.ts'
import { runPage, stepsOf } from './page-steps.ts'
import { root } from './rig.ts'

const page = 'docs/operating.md'

test('OP1 every command of docs/operating.md works as printed, and its output is the one that the page shows', async () => {
  await using machine = await createMachine()
  await using _database = await startDatabase(machine, { programs: serverOfPgDump() })
  // Those of the Debian package run in test/install/debian.test.ts, which has systemd.
  await runPage(page, (name) => (name === 'debian' ? undefined : machine))
}, 360_000)

test('OP1 every block of docs/operating.md belongs to a machine of a test', () => {
  expect([...new Set(stepsOf(page).map(({ machine }) => machine))].sort()).toEqual(['', 'debian'])
})

test('OP2 the ports of docs/operating.md are those that the options of global, zone and dataplane declare', async () => {
  const commands = await loadCommands()
  const declared = commands
    .filter(({ name }) => ['global', 'zone', 'dataplane'].includes(name))
    .flatMap(({ name, options }) =>
      Object.entries(options)
        .filter(([, { placeholder }]) => placeholder === 'PORT')
        .map(
          ([option, { shownDefault = '' }]) =>
            `${name} ${flagName(option)} ${/^\d+$/.test(shownDefault) ? shownDefault : 'none'}`,
        ),
    )
  const rows = readFileSync(join(root, page), 'utf8').matchAll(
    /^\| (\d+|none) \| [^|]+ \| ([a-z, ]+) \| `(--[a-z-]+)` \|/gm,
  )
  const listed = [...rows].flatMap(([, port, roles = '', option]) =>
    roles.split(', ').map((role) => `${role} ${option} ${port}`),
  )
  expect(listed.sort()).toEqual(declared.sort())
})
