import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, readFileSync } from 'node:fs'
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
