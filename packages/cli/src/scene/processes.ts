import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parentDeathSignal } from '@zonemesh/dataplane/envoy/death-signal.ts'
import { systemClock } from '@zonemesh/shared/env/clock.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import { backOffMs, supervise } from '@zonemesh/shared/env/supervise.ts'
import { ownCommand } from '../base/node-flags.ts'

export interface Running {
  readonly name: string
  readonly command: string
  readonly args: readonly string[]
  readonly environment: NodeJS.ProcessEnv
  readonly pid: number
  readonly startedAtMs: number
  readonly logFile: string
  readonly exited: Promise<number | string>
  readonly process: ChildProcess
}

/** A process that exited although it should run. `how` is its exit code or signal. */
class Exited extends Error {
  constructor({ name, logFile }: Running, how: number | string) {
    super(`${name} ended with ${how}:\n${tail(logFile)}`)
  }
}

type OnExit = (name: string, how: number | string, waitMs: number) => void

/** The last lines of a log, for an error message. */
export function tail(file: string, lines = 6): string {
  return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-lines).join('\n')
}

/** Kills a process and its children: an Envoy must not outlive the proxy process that watches it. */
function killGroup({ pid }: Running): void {
  try {
    if (pid > 0) process.kill(-pid, 'SIGKILL')
  } catch {
    // The process has already exited.
  }
}

const backOff = { minMs: 200, firstMaxMs: 400, maxMs: 5_000, quickTries: 2 }
/** A process that ran for this long counts as healthy: its next restart is fast again. */
const healthyMs = 10_000
const stopAfterMs = 8_000

/** The processes of a scene. Each writes its log to a file, and none outlives this process. */
export function createProcesses(folder: string) {
  const running = new Map<string, Running>()
  /** Processes that were stopped on purpose. */
  const expected = new Set<Running>()
  const stopping = new AbortController()
  const deathSignal = parentDeathSignal('TERM')
  let onChange = (): void => undefined
  /** Set once processes are kept running: what reports the exit of one. */
  let onExit: OnExit | undefined
  // If this process ends, even by a bug, it kills the others: they have their own process groups, so no signal of the
  // terminal reaches them. Where the kernel supports it, `kill -9` of this process stops them as well.
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
    // The process writes to the file itself: nothing is lost when it exits, or when this process is killed.
    const log = openSync(logFile, 'a', 0o600)
    const [first = command, ...words] = [...deathSignal, command, ...args]
    // Each child has its own process group, so Ctrl-C reaches only this process, which stops the children in order.
    const child = spawn(first, words, { stdio: ['ignore', log, log], env: environment, detached: true })
    closeSync(log)
    const exited = new Promise<number | string>((resolve) => {
      child.once('error', (error) => resolve(error.message))
      child.once('exit', (code, signal) => resolve(code ?? signal ?? 'unknown'))
    })
    const pid = child.pid ?? 0
    const startedAtMs = Date.now()
    const one: Running = { name, command, args, environment, pid, startedAtMs, logFile, exited, process: child }
    running.set(name, one)
    onChange()
    void exited.then(() => {
      if (running.get(name) === one) running.delete(name)
      onChange()
    })
    return one
  }

  /** Starts a process again whenever it exits, until it is stopped on purpose. */
  async function keep(first: Running, onExit: OnExit) {
    let current: Running | undefined = first
    let how: number | string = ''
    await supervise(
      systemClock,
      {
        async attempt(healthy) {
          const one = current ?? start(first.name, first.command, first.args, first.environment)
          current = undefined
          using _ = systemClock.after(healthyMs, healthy)
          how = await one.exited
          if (!expected.has(one)) throw new Exited(one, how)
        },
        judge({ failures }) {
          const waitMs = backOffMs(backOff, failures, systemRandom.fraction())
          onExit(first.name, how, waitMs)
          return { waitMs }
        },
      },
      stopping.signal,
    )
  }

  function kept(one: Running): Running {
    if (onExit) void keep(one, onExit).catch(() => stopping.signal.aborted)
    return one
  }

  return {
    /** Starts another zonemesh command with the same Node. */
    startOwn: (name: string, args: readonly string[], environment?: NodeJS.ProcessEnv): Running =>
      start(name, process.execPath, ownCommand(args), environment),
    start,
    get: (name: string): Running | undefined => running.get(name),
    all: (): readonly Running[] => [...running.values()],
    /** Calls the listener whenever a process has started or exited. */
    onChange(listener: () => void): void {
      onChange = listener
    },
    /** Stops a process with a signal and waits for it. Returns a function that starts it again. */
    async kill(name: string, signal: NodeJS.Signals): Promise<(environment?: NodeJS.ProcessEnv) => Running> {
      const one = running.get(name)
      if (!one) throw new Error(`no process is called ${name}`)
      expected.add(one)
      one.process.kill(signal)
      await one.exited
      return (environment) => kept(start(name, one.command, one.args, environment))
    },
    /** Throws an error with the end of the log if a process exits that should run. */
    async watch(): Promise<never> {
      const ended = await Promise.race([...running.values()].map(async (one) => ({ one, how: await one.exited })))
      if (stopping.signal.aborted || expected.has(ended.one)) return new Promise(() => {})
      throw new Exited(ended.one, ended.how)
    },
    /** From now on, each process that exits is started again after a pause. `onExit` reports its exit. */
    keepRunning(listener: OnExit): void {
      onExit = listener
      for (const one of running.values()) kept(one)
    },
    async stop(): Promise<void> {
      stopping.abort()
      // Proxies stop first, so that they can remove their rows while their zone still listens.
      const order = [...running.values()].reverse()
      const proxies = order.filter((one) => !/^(global|zone-)/.test(one.name))
      const planes = order.filter((one) => /^(global|zone-)/.test(one.name))
      for (const group of [proxies, planes]) {
        for (const one of group) one.process.kill('SIGTERM')
        const all = Promise.all(group.map((one) => one.exited))
        const timer = setTimeout(() => {
          for (const one of group) killGroup(one)
        }, stopAfterMs)
        await all
        clearTimeout(timer)
      }
    },
  }
}
export type Processes = ReturnType<typeof createProcesses>
