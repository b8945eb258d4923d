import { execFileSync } from 'node:child_process'
import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { findEnvoy } from '@zonemesh/dataplane/envoy/find.ts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { general, stepsOf } from './page-steps.ts'
import { type Folder, temporaryFolder, until } from './rig.ts'
import { createShell } from './scene-folder.ts'

const ip = (...args: readonly string[]): string => execFileSync('ip', [...args], { encoding: 'utf8' })

/** A machine of the page: a network with one address, and a home folder. */
interface Machine {
  readonly network: string
  readonly folder: Folder
  readonly shell: ReturnType<typeof createShell>
}

const machines = new Map<string, Machine>()

beforeAll(async () => {
  const progress = (line: string) => void process.stderr.write(`${line}\n`)
  const envoy = await findEnvoy({ env: process.env, progress }, new AbortController().signal)
  for (const name of ['a', 'b']) {
    const network = `zonemesh-${process.pid}-${name}`
    ip('netns', 'add', network)
    const folder = temporaryFolder()
    const environment = { HOME: folder.path, XDG_STATE_HOME: join(folder.path, 'state'), ZONEMESH_ENVOY: envoy }
    const shell = createShell(folder, { within: ['ip', 'netns', 'exec', network], environment })
    machines.set(name, { network, folder, shell })
  }
  const [a, b] = ['a', 'b'].map((name) => machineOf(name).network)
  ip('link', 'add', 'line', 'netns', a ?? '', 'type', 'veth', 'peer', 'name', 'line', 'netns', b ?? '')
  for (const [index, network] of [a ?? '', b ?? ''].entries()) {
    ip('-n', network, 'addr', 'add', `10.0.0.${index + 1}/24`, 'dev', 'line')
    for (const device of ['lo', 'line']) ip('-n', network, 'link', 'set', device, 'up')
  }
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
  const pids = () =>
    [...machines.values()].flatMap(({ network }) => ip('netns', 'pids', network).split('\n').filter(Boolean))
  for (const pid of pids()) process.kill(Number(pid), 'SIGTERM')
  await until('all processes have ended', pids, (left) => left.length === 0, 30_000)
  for (const { network, folder } of machines.values()) {
    ip('netns', 'del', network)
    folder[Symbol.dispose]()
  }
})

test('UP22 every command of the tutorial on two machines works as printed, and its output is the one that the page shows', async () => {
  for (const step of stepsOf('docs/tutorial/two-machines.md')) {
    const { folder, shell } = machineOf(step.machine)
    if (step.type === 'file') {
      folder.file(step.name, step.content)
      continue
    }
    const ran = await shell(step.commands, folder.path)
    expect(ran.code, `${step.commands}\n${ran.output}`).toBe(0)
    if (step.output !== undefined) expect(general(ran.output), step.commands).toBe(general(step.output))
  }
}, 180_000)
