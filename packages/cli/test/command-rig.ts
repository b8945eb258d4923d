import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startGlobal } from '@zonemesh/global/global.ts'
import { globalOptions } from '@zonemesh/global/options.ts'
import { type Options, readOptions } from '@zonemesh/plane/config/options.ts'
import { systemClock } from '@zonemesh/shared/env/clock.ts'
import { silentLog } from '@zonemesh/shared/env/log.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import { zoneOptions } from '@zonemesh/zone/options.ts'
import { startZone } from '@zonemesh/zone/zone.ts'
import { type Client, createClient } from '../src/base/client.ts'
import type { Command } from '../src/base/command.ts'

const env = { clock: systemClock, random: systemRandom, log: silentLog }
const freePorts = ['--host', '127.0.0.1', '--api-port', '0', '--api-tls-port', '0', '--health-port', '0']

/** A running plane with a client, a folder of its own, and a function that runs commands against it. */
export interface Rig extends AsyncDisposable {
  readonly address: string
  readonly client: Client
  /** An empty folder, which is removed with the plane. */
  readonly folder: string
  /** Runs a command as the command line does, and captures its output. */
  run<Spec extends Options>(command: Command<Spec>, ...args: readonly string[]): Promise<Ran>
}

export interface Ran {
  readonly code: number
  readonly printed: readonly string[]
  readonly notes: readonly string[]
  readonly text: string
}

function rigOf(apiPort: number, close: () => Promise<void>): Rig {
  const address = `http://127.0.0.1:${apiPort}`
  const folder = mkdtempSync(join(tmpdir(), 'zonemesh-cli-'))
  return {
    address,
    folder,
    client: createClient({ address, token: undefined, tokenFile: undefined, caCertFile: undefined }),
    run: (command, ...args) => runCommand(command, [...args, '--address', address]),
    async [Symbol.asyncDispose]() {
      await close()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** Runs a command without a plane, as the command line does, and captures its output. */
export async function runCommand<Spec extends Options>(
  command: Command<Spec>,
  args: readonly string[],
  signal: AbortSignal = new AbortController().signal,
  onLine: (line: string) => void = () => undefined,
): Promise<Ran> {
  const read = readOptions(command.options, args, {})
  if (!read.ok) throw new Error(read.error.message)
  const printed: string[] = []
  const notes: string[] = []
  const { values, positionals } = read.value
  const code = await command.run(values, {
    positionals,
    signal,
    print: (line) => {
      printed.push(line)
      onLine(line)
    },
    note: (line) => void notes.push(line),
  })
  return { code, printed, notes, text: printed.join('\n') }
}

export async function startGlobalRig(): Promise<Rig> {
  const read = readOptions(globalOptions, [...freePorts, '--sync-port', '0'], {})
  if (!read.ok) throw new Error(read.error.message)
  const global = await startGlobal(env, read.value.values, globalOptions)
  return rigOf(global.apiPort, () => global.close())
}

/** A zone without a global, which owns every kind. */
export async function startZoneRig(): Promise<Rig> {
  const read = readOptions(zoneOptions, [...freePorts, '--name', 'home', '--proxy-port', '0', '--dns-port', '0'], {})
  if (!read.ok) throw new Error(read.error.message)
  const zone = await startZone(env, read.value.values, undefined, zoneOptions)
  return rigOf(zone.apiPort, () => zone.close())
}

const match = (service: string) => [{ match: { 'kuma.io/service': service } }]

/** A Timeout as a document. */
export const timeout = (
  name: string,
  more: { readonly mesh?: string; readonly connect?: string; readonly labels?: Readonly<Record<string, string>> } = {},
) => ({
  type: 'Timeout',
  mesh: more.mesh ?? 'default',
  name,
  ...(more.labels ? { labels: more.labels } : {}),
  sources: match('*'),
  destinations: match('web'),
  conf: { connectTimeout: more.connect ?? '1s' },
})

/** Passes requests on to a plane, after `before` has seen them: what others do between two requests of a command. */
export async function startRelay(rig: Rig, before: (path: string, body: string) => Promise<void>) {
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(Buffer.from(chunk))
    const body = Buffer.concat(chunks).toString('utf8')
    await before(request.url ?? '', body)
    const headers = { 'content-type': 'application/json' }
    const answer = await fetch(rig.address + request.url, {
      method: request.method ?? 'GET',
      ...(body === '' ? {} : { body, headers }),
    })
    response.writeHead(answer.status, Object.fromEntries(answer.headers)).end(await answer.text())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const bound = server.address()
  return {
    address: `http://127.0.0.1:${bound !== null && typeof bound === 'object' ? bound.port : 0}`,
    [Symbol.asyncDispose]: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
