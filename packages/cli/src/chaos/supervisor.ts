import type { Processes, Running } from '../scene/processes.ts'
import type { Role, Supervisor } from './control.ts'

/** Pauses, stops and starts the planes of a demo. It does not control proxies, because they carry the traffic. */
export function createSupervisor(processes: Processes, names: readonly string[]): Supervisor {
  const again = new Map<string, (environment?: NodeJS.ProcessEnv) => Running>()
  const need = (name: string): Running => {
    const found = names.includes(name) ? processes.get(name) : undefined
    if (found) return found
    throw new Error(
      names.includes(name)
        ? `${name} is not running`
        : `unknown plane "${name}"; planes of this stack: ${names.join(', ')}`,
    )
  }
  return {
    roles: () =>
      names.map((name): Role => {
        const found = processes.get(name)
        return { name, pid: found?.pid ?? 0, running: found !== undefined }
      }),
    signal: (name, signal) => void need(name).process.kill(signal),
    async end(name, signal) {
      need(name)
      again.set(name, await processes.kill(name, signal))
    },
    start(name, environment) {
      const start = again.get(name)
      if (!start) throw new Error(`cannot start ${name}: expected a plane that this control has stopped`)
      again.delete(name)
      start({ ...process.env, ...environment })
    },
  }
}
