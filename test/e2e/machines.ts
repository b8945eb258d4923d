import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { findEnvoy } from '@zonemesh/dataplane/envoy/find.ts'
import { type Folder, temporaryFolder } from './rig.ts'
import { createShell } from './scene-folder.ts'

/**
 * A machine of a page: namespaces of its own for networks, processes and mounts, and a home folder. Every port is free
 * in it, `pkill` reaches no other process, and it has its own /etc/resolv.conf.
 */
export interface Machine extends AsyncDisposable {
  /** The id of its first process, which also names its network. */
  readonly pid: number
  readonly folder: Folder
  readonly shell: ReturnType<typeof createShell>
}

// The shell is the first process of the machine: it collects the processes that have lost their parent.
const firstProcess =
  'ip link set lo up; mount --bind "$0" /etc/resolv.conf; echo ready; sleep infinity & while :; do wait; done'

// Another user than root becomes root of a namespace for users.
const isRoot = process.getuid?.() === 0

/** Creates a machine with only its loopback device. */
export async function createMachine(): Promise<Machine> {
  const progress = (line: string) => void process.stderr.write(`${line}\n`)
  const envoy = await findEnvoy({ env: process.env, progress }, new AbortController().signal)
  const users = isRoot ? [] : ['--user', '--map-root-user']
  const namespaces = [...users, '--net', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc']
  const folder = temporaryFolder()
  const names = folder.file('resolv.conf', '')
  chmodSync(names, 0o644)
  const words = ['--pdeathsig', 'KILL', '--', 'unshare', ...namespaces, 'bash', '-c', firstProcess, names]
  const holder = spawn('setpriv', words, { stdio: ['ignore', 'pipe', 'inherit'] })
  const [ready] = await Promise.race([once(holder.stdout, 'data'), once(holder, 'close')])
  if (!String(ready).startsWith('ready'))
    throw new Error('a machine of a page needs setpriv, unshare and ip, and root or namespaces for users')
  const pid = childOf(holder)
  const environment = { HOME: folder.path, XDG_STATE_HOME: join(folder.path, 'state'), ZONEMESH_ENVOY: envoy }
  const asRoot = isRoot ? [] : ['--user', '--preserve-credentials']
  const within = ['nsenter', '--target', String(pid), ...asRoot, '--net', '--mount', '--pid', '--']
  return {
    pid,
    folder,
    shell: createShell(folder, { within, environment }),
    async [Symbol.asyncDispose]() {
      // The end of the first process ends all others of the machine.
      const ended = once(holder, 'close')
      holder.kill('SIGKILL')
      await ended
      folder[Symbol.dispose]()
    },
  }
}

/** The only child of a process: `unshare` itself stays outside of the namespace of processes. */
const childOf = ({ pid = 0 }: ChildProcess): number =>
  Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim())

export interface Machines extends AsyncDisposable {
  get(name: string): Machine
}

/** Two machines that reach each other as 10.0.0.1 and 10.0.0.2. */
export async function startMachines(names: readonly [string, string]): Promise<Machines> {
  const machines = new Map<string, Machine>()
  for (const name of names) machines.set(name, await createMachine())
  const get = (name: string): Machine => {
    const found = machines.get(name)
    if (!found) throw new Error(`no machine "${name}"; there are: ${[...machines.keys()].join(', ')}`)
    return found
  }
  const [a, b] = [get(names[0]), get(names[1])]
  const ends = ['netns', String(a.pid), 'type', 'veth', 'peer', 'name', 'line', 'netns', String(b.pid)]
  execFileSync('ip', ['link', 'add', 'line', ...ends])
  for (const [index, machine] of [a, b].entries())
    await machine.shell(`ip addr add 10.0.0.${index + 1}/24 dev line; ip link set line up`, '/')
  standInForScp(a.folder, b.folder)
  return {
    get,
    async [Symbol.asyncDispose]() {
      for (const machine of machines.values()) await machine[Symbol.asyncDispose]()
    },
  }
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
