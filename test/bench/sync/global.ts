import { mkdirSync, readdirSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { type Client, createClient } from '@zonemesh/cli/base/client.ts'
import { untilAnswer } from '@zonemesh/cli/base/http.ts'
import { freePorts } from '@zonemesh/cli/scene/ports.ts'
import { createProcesses } from '@zonemesh/cli/scene/processes.ts'
import { flags } from '@zonemesh/cli/scene/stage.ts'
import { delay, systemClock } from '@zonemesh/shared/env/clock.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'

export const local = '127.0.0.1'
const limitMs = 60_000

/** A real global in a separate process, with its store in a file. */
export interface BenchGlobal extends AsyncDisposable {
  readonly client: Client
  readonly syncPort: number
  /** SHA-256 of its authority, as in a join string. */
  readonly pin: string
  /** Creates zones and a token for each. */
  tokens(zones: readonly string[]): Promise<ReadonlyMap<string, string>>
  /** Writes documents in one commit; resolves with its revision. */
  write(documents: readonly object[]): Promise<number>
  /** The newest revision. */
  revision(): Promise<number>
  /** A counter of the global. */
  counted(name: string): Promise<number>
  /** The heap in use after a collection of garbage. The process stops for some seconds. */
  usedBytes(): Promise<number>
  /** Ends the process with a signal, and starts it again; resolves with the time of the start. */
  restart(signal: NodeJS.Signals): Promise<number>
  /** Resolves when the global listens on its sync port again. */
  untilListening(): Promise<number>
}

/** Documents of one commit; a request may be 4 MiB. */
const documentsPerCommit = 500

export async function startBenchGlobal(folder: string, name: string): Promise<BenchGlobal> {
  const processes = createProcesses(folder)
  const [apiPort = 0, apiTlsPort = 0, healthPort = 0, syncPort = 0] = await freePorts(systemRandom, 4)
  const ports = { apiPort, apiTlsPort, healthPort, syncPort }
  const settings = { dataDir: join(folder, name), host: local, ...ports, logLevel: 'warn' }
  // Node collects all garbage before it writes a heap snapshot.
  const snapshots = join(folder, `${name}-snapshots`)
  mkdirSync(snapshots)
  const NODE_OPTIONS = `--heapsnapshot-signal=SIGUSR2 --diagnostic-dir=${snapshots}`
  processes.startOwn(name, ['global', ...flags(settings)], { ...process.env, NODE_OPTIONS })
  const address = `http://${local}:${apiPort}`
  const client = createClient({ address, token: undefined, tokenFile: undefined, caCertFile: undefined })
  const answers = () =>
    untilAnswer(
      `${address} answers`,
      limitMs,
      () => client.call('GET', '/'),
      (reply) => reply.status === 200,
      (reply) => String(reply.status),
    )
  await Promise.race([answers(), processes.watch()])
  // The response contains the pin of the authority to trust.
  const { pin } = (await client.need('GET', '/_join')).json as { readonly pin: string }

  async function write(documents: readonly object[]): Promise<number> {
    const reply = await client.need('POST', '/_commit', { documents, intent: 'bench' })
    return revisionIn(String(reply.headers['zonemesh-revision']))
  }

  async function counted(figure: string): Promise<number> {
    // A connection of its own: the global may close a kept one while it is used, after it has stopped for a snapshot.
    const headers = { connection: 'close' }
    const text = await (await fetch(`http://${local}:${healthPort}/metrics`, { headers })).text()
    return Number(new RegExp(`^${figure} (\\S+)$`, 'm').exec(text)?.[1] ?? Number.NaN)
  }

  async function usedBytes(): Promise<number> {
    const before = readdirSync(snapshots).length
    processes.get(name)?.process.kill('SIGUSR2')
    while (readdirSync(snapshots).length === before) await delay(systemClock, 100, new AbortController().signal)
    // The process answers when the snapshot is written.
    return counted('nodejs_heap_used_bytes')
  }

  return {
    client,
    syncPort,
    pin,
    write,
    counted,
    usedBytes,
    async tokens(zones) {
      const documents = zones.map((zone) => ({ type: 'Zone', name: zone, enabled: true }))
      for (let at = 0; at < documents.length; at += documentsPerCommit)
        await write(documents.slice(at, at + documentsPerCommit))
      const token = async (zone: string) =>
        (await client.need('POST', '/tokens/zone', { zone, scope: ['cp'] })).text.trim()
      return new Map(await Promise.all(zones.map(async (zone) => [zone, await token(zone)] as const)))
    },
    async revision() {
      // The plane answers with its own type.
      return ((await client.need('GET', '/_status')).json as { readonly revision: number }).revision
    },
    async restart(signal) {
      const again = await processes.kill(name, signal)
      const startMs = performance.now()
      again()
      return startMs
    },
    async untilListening() {
      const endMs = performance.now() + limitMs
      while (!(await isOpen(syncPort))) {
        if (performance.now() > endMs) throw new Error(`port ${syncPort}: nobody listens within ${limitMs} ms`)
        await delay(systemClock, 5, new AbortController().signal)
      }
      return performance.now()
    },
    [Symbol.asyncDispose]: () => processes.stop(),
  }
}

/** `<store>@<revision>.<commit id>` */
const revisionIn = (header: string): number => Number(/@(\d+)\./.exec(header)?.[1] ?? Number.NaN)

const isOpen = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, local)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
