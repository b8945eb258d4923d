import { type ChildProcess, spawn } from 'node:child_process'
import { createWriteStream, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { nodeFlags } from '../base/node-flags.ts'

const mainFile = fileURLToPath(new URL('../main.ts', import.meta.url))

export interface Running {
  readonly name: string
  readonly command: string
  readonly args: readonly string[]
  readonly pid: number
  readonly logFile: string
  readonly exited: Promise<number | string>
  readonly process: ChildProcess
}

/** The last lines of a log, for an error message. */
function tail(file: string): string {
  return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-6).join('\n')
}

/** Kills a process and its children: an Envoy must not outlive the proxy process that watches it. */
function killGroup({ pid }: Running): void {
  try {
    if (pid > 0) process.kill(-pid, 'SIGKILL')
  } catch {
    // The process has already exited.
  }
}

/** The processes of a demo. Each writes its log to a file, and none outlives the demo. */
export function createProcesses(folder: string) {
  const running = new Map<string, Running>()
  /** Processes that were stopped on purpose. */
  const expected = new Set<Running>()
  let stopping = false
  // If this process ends, even by a bug, it kills the others: they have their own process groups, so no signal of the
  // terminal reaches them.
  process.once('exit', () => {
    for (const one of running.values()) killGroup(one)
  })

  function start(
    name: string,
    command: string,
    args: readonly string[],
    environment: NodeJS.ProcessEnv = process.env,
  ): Running {
    const logFile = join(folder, `${name}.log`)
    const log = createWriteStream(logFile, { flags: 'a', mode: 0o600 })
    // Each child has its own process group, so Ctrl-C reaches only this process, which stops the children in order.
    const child = spawn(command, [...args], { stdio: ['ignore', 'pipe', 'pipe'], env: environment, detached: true })
    child.stdout?.pipe(log, { end: false })
    child.stderr?.pipe(log, { end: false })
    const exited = new Promise<number | string>((resolve) => {
      child.once('error', (error) => resolve(error.message))
      child.once('exit', (code, signal) => resolve(code ?? signal ?? 'unknown'))
    })
    const one: Running = { name, command, args, pid: child.pid ?? 0, logFile, exited, process: child }
    running.set(name, one)
    void exited.then(() => {
      if (running.get(name) === one) running.delete(name)
    })
    return one
  }

  return {
    /** Starts another zonemesh command with the same Node. */
    startOwn: (name: string, args: readonly string[], environment?: NodeJS.ProcessEnv): Running =>
      start(name, process.execPath, [...nodeFlags, mainFile, ...args], environment),
    start,
    get: (name: string): Running | undefined => running.get(name),
    /** Stops a process with a signal and waits for it. Returns a function that starts it again. */
    async kill(name: string, signal: NodeJS.Signals): Promise<(environment?: NodeJS.ProcessEnv) => Running> {
      const one = running.get(name)
      if (!one) throw new Error(`no process is called ${name}`)
      expected.add(one)
      one.process.kill(signal)
      await one.exited
      return (environment) => start(name, one.command, one.args, environment)
    },
    /** Throws an error with the end of the log if a process exits that should run. */
    async watch(): Promise<never> {
      const ended = await Promise.race([...running.values()].map(async (one) => ({ one, how: await one.exited })))
      if (stopping || expected.has(ended.one)) return new Promise(() => {})
      throw new Error(`${ended.one.name} ended with ${ended.how}:\n${tail(ended.one.logFile)}`)
    },
    async stop(): Promise<void> {
      stopping = true
      // Proxies stop first, so that they can remove their rows while their zone still listens.
      const order = [...running.values()].reverse()
      const proxies = order.filter((one) => !/^(global|zone-)/.test(one.name))
      const planes = order.filter((one) => /^(global|zone-)/.test(one.name))
      for (const group of [proxies, planes]) {
        for (const one of group) one.process.kill('SIGTERM')
        const all = Promise.all(group.map((one) => one.exited))
        const timer = setTimeout(() => {
          for (const one of group) killGroup(one)
        }, 8_000)
        await all
        clearTimeout(timer)
      }
    },
  }
}
export type Processes = ReturnType<typeof createProcesses>
