import { readFileSync } from 'node:fs'
import { freePorts } from '@zonemesh/cli/scene/ports.ts'
import { createProcesses, type Processes, type Running } from '@zonemesh/cli/scene/processes.ts'
import { createSeededRandom, systemRandom } from '@zonemesh/shared/env/random.ts'
import { expect } from 'vitest'
import { api, type Folder, local, temporaryFolder, until } from '../e2e/rig.ts'

const mebibyte = 1024 * 1024
/** How much the memory of a plane may grow during an attack: pending connections may hold 128 MiB. */
const growthBytesMax = 256 * mebibyte

/** A plane in a separate process, so that its exit and its memory are visible from outside. */
export interface Plane extends AsyncDisposable {
  readonly ports: Readonly<Record<'api' | 'apiTls' | 'health' | 'sync' | 'proxy' | 'dns', number>>
  readonly address: string
  readonly processes: Processes
  readonly folder: Folder
  /** Fails if the process has exited, had an unhandled error, used too much memory, or does not answer. */
  expectUnharmed(): Promise<void>
}

export async function startPlane(role: 'global' | 'zone'): Promise<Plane> {
  const folder = temporaryFolder()
  const processes = createProcesses(folder.path)
  const [apiPort = 0, apiTls = 0, health = 0, sync = 0, proxy = 0, dns = 0] = await freePorts(systemRandom, 6)
  const own =
    role === 'global'
      ? ['--sync-port', `${sync}`]
      : ['--name', 'home', '--proxy-port', `${proxy}`, '--dns-port', `${dns}`, '--dns-forward', `${local}:9`]
  const running: Running = processes.startOwn(role, [
    ...[role, '--host', local, '--api-port', `${apiPort}`, '--api-tls-port', `${apiTls}`, '--health-port', `${health}`],
    ...own,
  ])
  const address = `http://${local}:${apiPort}`
  const answers = () =>
    until(
      `the ${role} answers`,
      () => api(address).call('GET', '/meshes'),
      ({ status }) => status === 200,
    )
  const memory = async (): Promise<number> => {
    const text = await (await fetch(`http://${local}:${health}/metrics`)).text()
    return Number(/^process_resident_memory_bytes (\d+)$/m.exec(text)?.[1])
  }
  await answers()
  const before = await memory()
  return {
    ports: { api: apiPort, apiTls, health, sync, proxy, dns },
    address,
    processes,
    folder,
    async expectUnharmed() {
      expect(processes.get(role)?.pid, readFileSync(running.logFile, 'utf8').slice(-2_000)).toBe(running.pid)
      await answers()
      expect(readFileSync(running.logFile, 'utf8')).not.toMatch(/unhandled|uncaught|AssertionError/i)
      expect((await memory()) - before).toBeLessThan(growthBytesMax)
    },
    async [Symbol.asyncDispose]() {
      await processes.stop()
      folder[Symbol.dispose]()
    },
  }
}

/** The seed is fixed, so that a failure is reproducible, and printed, so that it can be run alone. */
export function seeded(seed: number) {
  console.info(`seed ${seed}`)
  return createSeededRandom(seed)
}
