import { type ChildProcess, spawn } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Clock } from '@zonemesh/shared/env/clock.ts'
import type { Log } from '@zonemesh/shared/env/log.ts'
import type { Random } from '@zonemesh/shared/env/random.ts'
import { backOffMs, supervise } from '@zonemesh/shared/env/supervise.ts'
import { parentDeathSignal } from './death-signal.ts'

export interface EnvoyDeps {
  readonly clock: Clock
  readonly log: Log
  readonly random: Random
  /** A line that Envoy wrote. */
  envoyOutput(line: string): void
}

export interface EnvoyOptions {
  readonly binary: string
  readonly bootstrapFile: string
  readonly workDir: string
  readonly concurrency: number
  readonly drainMs: number
  readonly adminPort: number | undefined
  onExit(code: number, signal: string): void
}

export interface RunningEnvoy extends AsyncDisposable {
  readonly pid: number | undefined
  /** Whether Envoy serves its first configuration. */
  isReady(): Promise<boolean>
  admin(path: string, method: 'GET' | 'POST'): Promise<string>
}

const backOff = { minMs: 100, firstMaxMs: 200, maxMs: 5_000 }
/** A run that lasts longer than this resets the back-off. */
const healthyMs = 10_000
const killAfterMs = 5_000

/** Envoy exited; any other error is a fault of this process. */
class EnvoyExited extends Error {
  readonly code: number
  readonly signal: string
  constructor(code: number, signal: string) {
    super(`Envoy exited with ${signal === '' ? `code ${code}` : signal}`)
    this.code = code
    this.signal = signal
  }
}

/** Runs Envoy until disposed, and restarts it if it exits. */
export async function runEnvoy(deps: EnvoyDeps, options: EnvoyOptions): Promise<RunningEnvoy> {
  const pidFile = join(options.workDir, 'envoy.pid')
  await killOrphan(pidFile, options.bootstrapFile)
  const deathSignal = parentDeathSignal('KILL')
  if (deathSignal.length === 0)
    deps.log.info({}, 'cannot run setpriv: kill -9 of this process would leave its Envoy running')
  const stopped = new AbortController()
  let child: ChildProcess | undefined
  const runOnce = async (healthy: () => void): Promise<never> => {
    const startedAt = deps.clock.monotonicMs()
    const args = [
      ...['--config-path', options.bootstrapFile, '--concurrency', String(options.concurrency)],
      ...['--drain-time-s', String(Math.max(1, Math.ceil(options.drainMs / 1000))), '--drain-strategy', 'immediate'],
      ...['--disable-hot-restart', '--log-level', 'warn'],
    ]
    const [command, ...words] = [...deathSignal, options.binary, ...args]
    // Envoy has its own process group: Ctrl-C in a terminal must reach only this process, which drains before it
    // stops Envoy.
    const started = spawn(command ?? options.binary, words, { stdio: ['ignore', 'pipe', 'pipe'], detached: true })
    child = started
    const exited = new Promise<readonly [number, string]>((resolve) => {
      started.once('exit', (code, signal) => resolve([code ?? -1, signal ?? '']))
      started.once('error', (error) => resolve([-1, error.message]))
    })
    for (const stream of [started.stdout, started.stderr])
      createInterface({ input: stream }).on('line', deps.envoyOutput)
    if (started.pid !== undefined) await writeFile(pidFile, String(started.pid))
    const [code, signal] = await exited
    child = undefined
    if (deps.clock.monotonicMs() - startedAt > healthyMs) healthy()
    throw new EnvoyExited(code, signal)
  }
  const running = supervise(
    deps.clock,
    {
      attempt: runOnce,
      judge({ cause, failures }) {
        if (!(cause instanceof EnvoyExited)) throw cause
        const { code, signal } = cause
        deps.log.error({ code, signal }, 'Envoy exited; restarting it')
        options.onExit(code, signal)
        return { waitMs: backOffMs(backOff, failures, deps.random.fraction()) }
      },
    },
    stopped.signal,
  )
  const killNow = () => void child?.kill('SIGKILL')
  process.once('exit', killNow)
  const admin = (path: string, method: 'GET' | 'POST') => callAdmin(options, path, method)
  return {
    get pid() {
      return child?.pid
    },
    admin,
    isReady: async () => (await admin('/ready', 'GET').catch(() => '')).trim() === 'LIVE',
    async [Symbol.asyncDispose]() {
      stopped.abort()
      child?.kill('SIGTERM')
      using _ = deps.clock.after(killAfterMs, () => child?.kill('SIGKILL'))
      // The abort is the only end that it has.
      await running.catch(() => undefined)
      process.off('exit', killNow)
    },
  }
}

/**
 * Kills an Envoy whose process was killed with -9 in a former run, as it would occupy the ports. It is identified by
 * /proc (Linux).
 */
async function killOrphan(pidFile: string, bootstrapFile: string): Promise<void> {
  try {
    const pid = Number(await readFile(pidFile, 'utf8'))
    const commandLine = await readFile(`/proc/${pid}/cmdline`, 'utf8')
    if (Number.isInteger(pid) && commandLine.split('\0').includes(bootstrapFile)) process.kill(pid, 'SIGKILL')
  } catch {
    // There is no file, no process, or no /proc, so there is nothing to kill.
  }
}

function callAdmin(options: EnvoyOptions, path: string, method: 'GET' | 'POST'): Promise<string> {
  const target =
    options.adminPort === undefined
      ? { socketPath: `${`${options.workDir}/kuma-envoy-admin`.slice(0, 98)}.sock` }
      : { host: '127.0.0.1', port: options.adminPort }
  return new Promise((resolve, reject) => {
    const sent = request({ ...target, path, method, agent: false, timeout: 2_000 }, (response) => {
      let body = ''
      response.setEncoding('utf8').on('data', (chunk: string) => {
        body += chunk
      })
      response.on('end', () => resolve(body)).on('error', reject)
    })
    sent
      .on('timeout', () => sent.destroy(new Error('no response from Envoy')))
      .on('error', reject)
      .end()
  })
}
