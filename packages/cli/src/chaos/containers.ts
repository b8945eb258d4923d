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

/** The services of a compose project that have a container on this machine, running or not. */
export async function servicesOf(project: string): Promise<readonly string[]> {
  const format = '{{.Label "com.docker.compose.service"}}'
  const listed = await docker(
    'ps',
    '--all',
    '--filter',
    `label=com.docker.compose.project=${project}`,
    '--format',
    format,
  )
  return [...new Set(listed.split('\n').filter((name) => name !== ''))]
}

/** The content of a file in a running container of a service. */
export async function readInContainer(project: string, service: string, path: string): Promise<string> {
  return docker('exec', await containerOf(project, service), 'cat', path)
}

/** Copies a database file with its WAL and shared-memory files. */
const copyDatabase =
  'copy() { for end in "" -wal -shm; do rm -f "$2$end"; if [ -e "$1$end" ]; then cp -p "$1$end" "$2$end"; fi; done; };'

/** The networks of a service in its compose project, and its names there. */
export interface Place {
  readonly networks: readonly string[]
  readonly aliases: readonly string[]
}

/** Pauses, stops and starts planes that are services of a compose project. A plane has the name of its service. */
export function createContainers(
  project: string,
  names: readonly string[],
  placesByName: ReadonlyMap<string, Place>,
): Keeper {
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
    pause: async (name) => signalAll(await need(name), 'STOP'),
    resume: async (name) => signalAll(await need(name), 'CONT'),
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
    // compose.chaos.yml preloads libfaketime, which reads this file every second.
    shiftClock: async (name, byMs) =>
      docker('exec', await need(name), 'bash', '-c', `printf '%+d' ${byMs / 1_000} > /tmp/clock`),
    async clockOf(name) {
      const ask = `exec 3<>/dev/tcp/${name}/5681; printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3; timeout 2 sed -n 's/^date: //Ip' <&3`
      return Date.parse(await docker('exec', await containerOf(project, 'relay'), 'bash', '-c', ask))
    },
    keys: async (name) => Number(await redisCli(await need(name), 'DBSIZE')),
    flush: async (name) => redisCli(await need(name), 'FLUSHALL'),
    ...networking(project, need, placesByName),
    // The copy is next to the database, in the plane's volume.
    store: (name, file) => ({
      keep: () => shell(name, file, `${copyDatabase} copy "$FILE" "$FILE.aside"`),
      putBack: () => shell(name, file, `${copyDatabase} copy "$FILE.aside" "$FILE"`),
      forget: () => shell(name, file, 'rm -f "$FILE.aside" "$FILE.aside-wal" "$FILE.aside-shm"'),
    }),
  }
}

/**
 * Stops or continues every process of a container. Not by `docker pause`: it also freezes a health check that has just
 * begun, and the engine then waits for that one forever. The first process gets signals only from outside.
 */
async function signalAll(id: string, signal: 'STOP' | 'CONT'): Promise<void> {
  await docker('kill', '--signal', signal, id)
  await docker('exec', id, 'sh', '-c', `kill -${signal} -1 2>/dev/null || true`)
}

/** Runs a command of Redis as its configuration file of the fleet allows. The password stays in the container. */
const redisCli = (id: string, command: 'DBSIZE' | 'FLUSHALL'): Promise<string> =>
  docker(
    'exec',
    id,
    'sh',
    '-c',
    `REDISCLI_AUTH=$(sed -n 's/^requirepass //p' /secrets/redis.conf) exec redis-cli ${command}`,
  )

/** Takes a container off its networks and back, and asks whether it answers. */
function networking(
  project: string,
  need: (name: string) => Promise<string>,
  placesByName: ReadonlyMap<string, Place>,
): Pick<Keeper, 'disconnect' | 'connect' | 'probe'> {
  return {
    async disconnect(name) {
      const id = await need(name)
      for (const network of Object.keys(await networksOf(id))) await docker('network', 'disconnect', network, id)
    },
    async connect(name) {
      const id = await need(name)
      const connected = Object.keys(await networksOf(id))
      const { networks = [], aliases = [] } = placesByName.get(name) ?? {}
      const names = aliases.flatMap((alias) => ['--alias', alias])
      for (const network of networks.map((one) => `${project}_${one}`))
        if (!connected.includes(network)) await docker('network', 'connect', ...names, network, id)
    },
    // The relay asks, because it is in all networks of the stack.
    async probe(name, port, greeting) {
      const script = `exec 3<>/dev/tcp/${name}/${port}; printf '${greeting}' >&3; read -r -N 1 -t 1 <&3`
      const relay = await containerOf(project, 'relay')
      return docker('exec', relay, 'timeout', '1.5', 'bash', '-c', script).then(
        () => true,
        () => false,
      )
    },
  }
}

async function networksOf(id: string): Promise<Readonly<Record<string, unknown>>> {
  return JSON.parse(await docker('inspect', '--format', '{{json .NetworkSettings.Networks}}', id))
}
