import { execFileSync } from 'node:child_process'
import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { findEnvoy } from '@zonemesh/dataplane/envoy/find.ts'
import { type Folder, temporaryFolder, until } from './rig.ts'
import { createShell } from './scene-folder.ts'

const ip = (...args: readonly string[]): string => execFileSync('ip', [...args], { encoding: 'utf8' })

/** A machine with its own network, whose address is 10.0.0.1, 10.0.0.2 …, and a home folder. */
export interface Machine {
  readonly network: string
  readonly folder: Folder
  readonly shell: ReturnType<typeof createShell>
}

export interface Machines {
  get(name: string): Machine
  /** Stops all processes of the machines and removes them. */
  close(): Promise<void>
}

/** Two machines that reach each other. `label` differs between test files, which may run at the same time. */
export async function startMachines(label: string, names: readonly [string, string]): Promise<Machines> {
  const machines = new Map<string, Machine>()
  const get = (name: string): Machine => {
    const found = machines.get(name)
    if (!found) throw new Error(`no machine "${name}"; there are: ${[...machines.keys()].join(', ')}`)
    return found
  }
  const progress = (line: string) => void process.stderr.write(`${line}\n`)
  const envoy = await findEnvoy({ env: process.env, progress }, new AbortController().signal)
  for (const name of names) {
    const network = `${label}-${process.pid}-${name}`
    ip('netns', 'add', network)
    const folder = temporaryFolder()
    const environment = { HOME: folder.path, XDG_STATE_HOME: join(folder.path, 'state'), ZONEMESH_ENVOY: envoy }
    const shell = createShell(folder, { within: ['ip', 'netns', 'exec', network], environment })
    machines.set(name, { network, folder, shell })
  }
  const [a, b] = names.map(get)
  ip(
    'link',
    'add',
    'line',
    'netns',
    a?.network ?? '',
    'type',
    'veth',
    'peer',
    'name',
    'line',
    'netns',
    b?.network ?? '',
  )
  for (const [index, name] of names.entries()) {
    const { network } = get(name)
    ip('-n', network, 'addr', 'add', `10.0.0.${index + 1}/24`, 'dev', 'line')
    for (const device of ['lo', 'line']) ip('-n', network, 'link', 'set', device, 'up')
  }
  standInForScp(get(names[0]).folder, get(names[1]).folder)
  return { get, close: () => closeAll([...machines.values()]) }
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

async function closeAll(machines: readonly Machine[]): Promise<void> {
  const pids = () => machines.flatMap(({ network }) => ip('netns', 'pids', network).split('\n').filter(Boolean))
  for (const pid of pids()) process.kill(Number(pid), 'SIGTERM')
  await until('all processes have ended', pids, (left) => left.length === 0, 30_000)
  for (const { network, folder } of machines) {
    ip('netns', 'del', network)
    folder[Symbol.dispose]()
  }
}
