import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { Agent } from 'node:http'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { performance } from 'node:perf_hooks'
import { createClient } from '@zonemesh/cli/base/client.ts'
import { type HttpAnswer, requestOnce } from '@zonemesh/cli/base/http.ts'
import { drawNames } from '@zonemesh/cli/demo/names.ts'
import { prove } from '@zonemesh/cli/demo/prove.ts'
import { type Demo, startDemo } from '@zonemesh/cli/demo/run.ts'
import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import { delay, systemClock } from '@zonemesh/shared/env/clock.ts'

export const root = resolve(import.meta.dirname, '../..')
export const local = '127.0.0.1'
const mainFile = join(root, 'packages/cli/src/main.ts')

/** A folder for one test file. It is removed with the tests. */
export function temporaryFolder(): { readonly path: string; file(name: string, text: string): string } & Disposable {
  const path = mkdtempSync(join(tmpdir(), 'zonemesh-e2e-'))
  return {
    path,
    file(name, text) {
      writeFileSync(join(path, name), text, { mode: 0o600 })
      return join(path, name)
    },
    [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }),
  }
}
export type Folder = ReturnType<typeof temporaryFolder>

export interface Outcome {
  readonly code: number | string
  readonly stdout: string
  readonly stderr: string
}

/** Runs a program to its end and captures its output. */
export async function run(command: string, args: readonly string[], input = '', limitMs = 15_000): Promise<Outcome> {
  const child = spawn(command, [...args], { cwd: root, stdio: ['pipe', 'pipe', 'pipe'], timeout: limitMs })
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  child.stdin.on('error', () => {})
  child.stdin.end(input)
  const [code, signal]: (number | string)[] = await once(child, 'close')
  return { code: code ?? signal ?? '', stdout, stderr }
}

/** The command line without its launcher. */
export const zonemesh = (...args: readonly string[]): Promise<Outcome> =>
  run(process.execPath, ['--disable-warning=ExperimentalWarning', mainFile, ...args])

export const zonemeshWithInput = (input: string, ...args: readonly string[]): Promise<Outcome> =>
  run(process.execPath, ['--disable-warning=ExperimentalWarning', mainFile, ...args], input)

/** The arguments that name a global and its zones to a command. */
export const planesAt = (
  globalAddress: string,
  { east, west }: Readonly<Record<'east' | 'west', { readonly apiAddress: string }>>,
): readonly string[] => [
  ...['--address', globalAddress],
  ...['--zone', `east=${east.apiAddress}`],
  ...['--zone', `west=${west.apiAddress}`],
]

/** Repeats a request until the answer is right. Fails with the last answer. */
export async function until<T>(
  what: string,
  ask: () => T | Promise<T>,
  isRight: (answer: T) => boolean,
  limitMs = 20_000,
): Promise<T> {
  const endMs = performance.now() + limitMs
  let last: unknown
  do {
    try {
      const answer = await ask()
      if (isRight(answer)) return answer
      last = answer
    } catch (thrown) {
      last = thrown
    }
    await delay(systemClock, 10, new AbortController().signal)
  } while (performance.now() < endMs)
  const text = last instanceof Error ? last.message : (JSON.stringify(last) ?? String(last))
  throw new Error(`${what}: not within ${limitMs} ms; last: ${text.slice(0, 4_000)}`)
}

export const untilLogged = (file: string, pattern: RegExp): Promise<string> =>
  until(
    `${file} says ${pattern}`,
    () => readFileSync(file, 'utf8'),
    (text) => pattern.test(text),
  )

/** The API of a control plane on this machine. */
export const api = (address: string) =>
  createClient({ address, token: undefined, tokenFile: undefined, caCertFile: undefined })

export interface Status extends JsonObject {
  readonly revision: number
  readonly compiled: number
  readonly zones: {
    readonly zone: string
    readonly connected: boolean
    readonly current: boolean
    readonly epoch: number
    readonly revision: { readonly stored: number }
    readonly proxies: { readonly connected: number; readonly total: number }
    readonly verdicts: { readonly key: string; readonly reason: string }[]
  }[]
  readonly proxies: { readonly proxy: string; readonly state: string; readonly served: number }[]
  readonly verdicts: { readonly key: string; readonly reason: string }[]
  readonly uplink: { readonly phase: string; readonly reason: string; readonly current?: boolean }
}

/** The status of a control plane. */
export const statusOf = async (address: string): Promise<Status> =>
  // A global and a zone each respond with their part of this shape.
  (await api(address).need('GET', '/_status')).json as Status

/** Waits until both zones of a demo are connected to this global and current. */
export const untilBothCurrent = (globalAddress: string): Promise<Status> =>
  until(
    'both zones are current',
    () => statusOf(globalAddress),
    ({ zones }) => zones.length === 2 && zones.every(({ connected, current }) => connected && current),
  )

export interface Scene extends AsyncDisposable {
  readonly demo: Demo
  readonly folder: Folder
}

/** A working demo with names drawn from a seed. */
export async function startScene(seed: number): Promise<Scene> {
  const folder = temporaryFolder()
  const stop = new AbortController()
  const demo = await startDemo(drawNames(seed), folder.path, { done: () => {} }, stop.signal)
  await prove(demo, { done: () => {} })
  return {
    demo,
    folder,
    async [Symbol.asyncDispose]() {
      await demo.stop()
      stop.abort()
      folder[Symbol.dispose]()
    },
  }
}

/** A request through the builtin gateway of east, on a new connection. */
export async function throughGateway(demo: Demo, path: string): Promise<HttpAnswer> {
  const agent = new Agent({ keepAlive: false })
  const { gatewayPort: port, names } = demo
  return requestOnce({ host: local, port, hostname: names.hostname, path, agent }).finally(() => agent.destroy())
}

/** Runs this number of concurrent callers, each sending one request after the other, until stopped. */
export function startTraffic(ask: () => Promise<HttpAnswer>, callers = 1) {
  const end = new AbortController()
  const failures: string[] = []
  let requests = 0
  const call = async () => {
    while (!end.signal.aborted) {
      const outcome = await ask().catch((thrown: Error) => thrown.message)
      requests += 1
      if (typeof outcome === 'string') failures.push(outcome)
      else if (outcome.status !== 200) failures.push(`${outcome.status} ${outcome.body.trim()}`)
      await delay(systemClock, 2, end.signal).catch(() => {})
    }
  }
  const running = Promise.all(Array.from({ length: callers }, call))
  const stop = async () => {
    end.abort()
    await running
    return { requests, failures }
  }
  return {
    stop,
    async [Symbol.asyncDispose]() {
      await stop()
    },
    /** Waits until this number of further requests has completed, successfully or not. */
    async more(count: number): Promise<void> {
      const goal = requests + count
      await until(
        `${count} more requests`,
        () => requests,
        (now) => now >= goal,
      )
    },
  }
}
