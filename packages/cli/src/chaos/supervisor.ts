import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { EchoService } from '../scene/echo-service.ts'
import type { Processes, Running } from '../scene/processes.ts'
import type { Role, Supervisor } from './control.ts'

interface Parts {
  readonly processes: Processes
  /** The services in this process. */
  readonly services: ReadonlyMap<string, EchoService>
  /** The folder of the demo, with a work folder for each proxy. */
  readonly folder: string
}

/** Pauses, stops and starts the planes and proxies of a demo, and the services in its process. */
export function createSupervisor({ processes, services, folder }: Parts): Supervisor {
  const again = new Map<string, (environment?: NodeJS.ProcessEnv) => Running>()
  const names = () => [...new Set([...processes.all().map(({ name }) => name), ...again.keys()])].sort()
  const need = (name: string): Running => {
    const found = processes.get(name)
    if (found) return found
    const known = [...names(), ...services.keys()]
    throw new Error(
      known.includes(name)
        ? `${name} is not running`
        : `unknown process "${name}"; processes of this stack: ${known.join(', ')}`,
    )
  }
  /** Envoy has a process group of its own, so it is signalled by its id. */
  const envoyOf = (name: string): number | undefined => {
    try {
      return Number(readFileSync(join(folder, name, 'envoy.pid'), 'utf8'))
    } catch {
      return undefined
    }
  }
  return {
    roles: () => [
      ...names().map((name): Role => {
        const found = processes.get(name)
        return { name, pid: found?.pid ?? 0, running: found !== undefined }
      }),
      ...[...services].map(([name, service]): Role => ({ name, pid: process.pid, running: service.isRunning() })),
    ],
    signal(name, signal) {
      const service = services.get(name)
      if (service) return signal === 'SIGSTOP' ? service.pause() : service.resume()
      need(name).process.kill(signal)
      const envoy = envoyOf(name)
      if (envoy !== undefined) process.kill(envoy, signal)
    },
    async end(name, signal) {
      const service = services.get(name)
      if (service) return service.stop()
      need(name)
      const envoy = envoyOf(name)
      again.set(name, await processes.kill(name, signal))
      // Without setpriv, Envoy outlives the process that watches it.
      if (signal === 'SIGKILL' && envoy !== undefined) killIfRunning(envoy)
    },
    async start(name, environment) {
      const service = services.get(name)
      if (service) return service.start()
      const start = again.get(name)
      if (!start) throw new Error(`cannot start ${name}: expected a process that this control has stopped`)
      again.delete(name)
      start({ ...process.env, ...environment })
    },
  }
}

function killIfRunning(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // The process has already exited.
  }
}
