import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { CommandError } from '../base/command.ts'
import type { Keeper } from './keeper.ts'

const execute = promisify(execFile)

async function docker(...args: readonly string[]): Promise<string> {
  try {
    return (await execute('docker', [...args], { timeout: 60_000 })).stdout.trim()
  } catch (thrown) {
    const failure = Object(thrown)
    const reason =
      failure.code === 'ENOENT' ? 'docker is not installed' : String(failure.stderr || failure.message).trim()
    throw new CommandError(`docker ${args[0]} failed: ${reason}`)
  }
}

/** The containers of one service of a compose project on this machine, running or not. */
async function containerOf(project: string, service: string): Promise<string> {
  const labels = { project, service, oneoff: 'False' }
  const filters = Object.entries(labels).flatMap(([name, is]) => ['--filter', `label=com.docker.compose.${name}=${is}`])
  const [id] = (await docker('ps', '--all', '--quiet', ...filters)).split('\n')
  if (id) return id
  throw new CommandError(
    `the compose project "${project}" has no container of a service "${service}" on this machine`,
    2,
  )
}

/** The content of a file in a running container of a service. */
export async function readInContainer(project: string, service: string, path: string): Promise<string> {
  return docker('exec', await containerOf(project, service), 'cat', path)
}

/** Copies a database file with its WAL and shared-memory files. */
const copyDatabase =
  'copy() { for end in "" -wal -shm; do rm -f "$2$end"; if [ -e "$1$end" ]; then cp -p "$1$end" "$2$end"; fi; done; };'

/** Pauses, stops and starts planes that are services of a compose project. A plane has the name of its service. */
export function createContainers(project: string, names: readonly string[]): Keeper {
  const need = (name: string): Promise<string> => {
    if (names.includes(name)) return containerOf(project, name)
    throw new CommandError(`unknown container "${name}"; containers of this stack: ${names.join(', ')}`, 2)
  }
  /** Runs a script in a new container with the plane's volumes and user. */
  const shell = async (name: string, file: string, script: string): Promise<void> => {
    const id = await need(name)
    const [image = '', user = ''] = (await docker('inspect', '--format', '{{.Image}} {{.Config.User}}', id)).split(' ')
    const as = user === '' ? [] : ['--user', user]
    await docker(
      'run',
      '--rm',
      ...as,
      '--volumes-from',
      id,
      '--env',
      `FILE=${file}`,
      '--entrypoint',
      'sh',
      image,
      '-ec',
      script,
    )
  }
  return {
    roles: () =>
      Promise.all(
        names.map(async (name) => {
          const state = await docker('inspect', '--format', '{{.State.Pid}} {{.State.Running}}', await need(name))
          const [pid, running] = state.split(' ')
          return { name, pid: Number(pid), running: running === 'true' }
        }),
      ),
    pause: async (name) => void (await docker('pause', await need(name))),
    resume: async (name) => void (await docker('unpause', await need(name))),
    async end(name, signal) {
      const id = await need(name)
      if (signal === 'SIGTERM') await docker('stop', id)
      else await docker('kill', id)
      await docker('wait', id)
    },
    async start(name, environment = {}) {
      if (Object.keys(environment).length > 0)
        throw new CommandError(`cannot start ${name} with another environment: it is a container`, 2)
      await docker('start', await need(name))
    },
    // The copy is next to the database, in the plane's volume.
    store: (name, file) => ({
      keep: () => shell(name, file, `${copyDatabase} copy "$FILE" "$FILE.aside"`),
      putBack: () => shell(name, file, `${copyDatabase} copy "$FILE.aside" "$FILE"`),
      forget: () => shell(name, file, 'rm -f "$FILE.aside" "$FILE.aside-wal" "$FILE.aside-shm"'),
    }),
  }
}
