import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { nodeFlags } from '@zonemesh/cli/base/node-flags.ts'
import type { BenchGlobal } from './global.ts'
import type { Answer, Question } from './zone-messages.ts'

const mainFile = fileURLToPath(new URL('./zone-process.ts', import.meta.url))

/** A zone in another process. All times are of the clock that processes share. */
export interface FollowingZone {
  readonly name: string
  /** When the zone had this revision of the global, and could say that there was nothing newer. */
  untilCurrent(revision: number): Promise<number>
  /** When a row of this name is in the store. Asked for before it is written. */
  whenApplied(name: string): Promise<number>
}

export interface ZoneProcesses extends AsyncDisposable {
  readonly zones: readonly FollowingZone[]
  /** How they share the machine, for the name of a figure. */
  readonly shape: string
  /** Used by all of them so far. */
  cpuSeconds(): Promise<number>
}

/** Zones with stores in files, spread over processes. */
export async function startZoneProcesses(
  global: Pick<BenchGlobal, 'pin' | 'syncPort'>,
  options: { readonly folder: string; readonly tokens: ReadonlyMap<string, string>; readonly processes: number },
): Promise<ZoneProcesses> {
  const { folder, tokens } = options
  await using stack = new AsyncDisposableStack()
  const waiting = new Map<string, (atMs: number) => void>()
  const written = (zone: string, name: string, atMs: number) => {
    waiting.get(`${zone}/${name}`)?.(atMs)
    waiting.delete(`${zone}/${name}`)
  }
  const all = [...tokens]
  const perProcess = Math.ceil(all.length / options.processes)
  const processes = Array.from({ length: options.processes }, (_unused, index) => {
    const own = all.slice(index * perProcess, (index + 1) * perProcess)
    return { own, ...stack.use(startProcess(own.length, written)) }
  })
  const { pin, syncPort } = global
  await Promise.all(
    processes.map(({ own, ask }) => ask({ type: 'start', global: { pin, syncPort }, folder, tokens: own })),
  )
  const zones = processes.flatMap(({ own, ask }) =>
    own.map(
      ([name]): FollowingZone => ({
        name,
        untilCurrent: (revision) => ask({ type: 'current', zone: name, revision }),
        whenApplied: (row) => new Promise((resolve) => waiting.set(`${name}/${row}`, resolve)),
      }),
    ),
  )
  const started = stack.move()
  return {
    zones,
    shape: `${all.length} zones in ${options.processes} processes`,
    async cpuSeconds() {
      const seconds = await Promise.all(processes.map(({ ask }) => ask({ type: 'cpu' })))
      return seconds.reduce((sum, one) => sum + one, 0)
    },
    [Symbol.asyncDispose]: () => started.disposeAsync(),
  }
}

/** Each zone has its own young generation in life: see `nodeFlags`. */
const semiSpaceMiB = 2

function startProcess(zones: number, written: (zone: string, name: string, atMs: number) => void) {
  const child: ChildProcess = fork(mainFile, {
    execArgv: [...nodeFlags, `--max-semi-space-size=${zones * semiSpaceMiB}`],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  const asked = new Map<number, PromiseWithResolvers<number>>()
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  let asks = 0
  void exited.then(() => {
    for (const one of asked.values()) one.reject(new Error('a process of zones has ended'))
  })
  child.on('message', (message) => {
    // The child is our own code and sends nothing else.
    const answer = message as Answer
    if (answer.type === 'written') {
      for (const name of answer.names) written(answer.zone, name, answer.atMs)
      return
    }
    const one = asked.get(answer.id)
    asked.delete(answer.id)
    if (answer.type === 'answer') one?.resolve(answer.value)
    else one?.reject(new Error(answer.reason))
  })
  function ask(question: Question): Promise<number> {
    asks += 1
    const one = Promise.withResolvers<number>()
    asked.set(asks, one)
    child.send({ id: asks, question })
    return one.promise
  }
  return {
    ask,
    async [Symbol.asyncDispose]() {
      if (child.connected) {
        await ask({ type: 'stop' })
        child.disconnect()
      }
      await exited
    },
  }
}
