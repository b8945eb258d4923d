import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { type RunningGlobal, startGlobal } from '@zonemesh/global/global.ts'
import { globalOptions } from '@zonemesh/global/options.ts'
import { readOptions } from '@zonemesh/plane/config/options.ts'
import { systemClock } from '@zonemesh/shared/env/clock.ts'
import { silentLog } from '@zonemesh/shared/env/log.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import { zoneOptions } from '@zonemesh/zone/options.ts'
import { type RunningZone, startZone } from '@zonemesh/zone/zone.ts'
import { createClient } from '../src/base/client.ts'
import { untilAnswer } from '../src/base/http.ts'

export const root = resolve(import.meta.dirname, '../../..')
export const mainFile = join(root, 'packages/cli/src/main.ts')
export const nodeArguments = ['--disable-warning=ExperimentalWarning', mainFile]

/** A global on free ports of 127.0.0.1 with a store in memory. */
export function startTestGlobal(...more: readonly string[]): Promise<RunningGlobal> {
  const ports = ['--api-port', '0', '--api-tls-port', '0', '--health-port', '0', '--sync-port', '0']
  const read = readOptions(globalOptions, ['--host', '127.0.0.1', ...ports, ...more], {})
  if (!read.ok) throw new Error(read.error.message)
  return startGlobal({ clock: systemClock, random: systemRandom, log: silentLog }, read.value.values, globalOptions)
}

/** Waits until the global counts a zone as connected, or as not connected. */
export async function untilConnected(global: RunningGlobal, zone: string, isConnected: boolean): Promise<void> {
  const pattern = new RegExp(`"zone":"${zone}"[^{}]*"connected":${isConnected}`)
  const status = async () => JSON.stringify((await clientOf(global).need('GET', '/_status')).json)
  const what = `zone ${zone} is ${isConnected ? '' : 'not '}connected`
  await untilAnswer(
    what,
    20_000,
    status,
    (text) => pattern.test(text),
    (text) => text,
  )
}

export const clientOf = ({ apiPort }: RunningGlobal) =>
  createClient({
    ...{ address: `http://127.0.0.1:${apiPort}`, token: undefined, tokenFile: undefined, caCertFile: undefined },
  })

/** A zone that has joined the global and has stopped. */
export async function stoppedTestZone(global: RunningGlobal, zone: string): Promise<void> {
  await (await startTestZone(global, zone)).close()
  await untilConnected(global, zone, false)
}

/** A zone on free ports. Resolves when it has joined the global. */
export async function startTestZone(global: RunningGlobal, zone: string): Promise<RunningZone> {
  const client = clientOf(global)
  await client.need('PUT', `/zones/${zone}`, { type: 'Zone', name: zone, enabled: true })
  const token = (await client.need('POST', '/tokens/zone', { zone, scope: ['cp'] })).text.trim()
  const ports = ['api', 'api-tls', 'health', 'proxy', 'dns'].flatMap((name) => [`--${name}-port`, '0'])
  const read = readOptions(zoneOptions, ['--host', '127.0.0.1', ...ports], {})
  if (!read.ok) throw new Error(read.error.message)
  const join = { address: `https://127.0.0.1:${global.syncPort}`, token, pin: global.pin }
  const env = { clock: systemClock, random: systemRandom, log: silentLog }
  const running = await startZone(env, read.value.values, join, zoneOptions)
  await untilConnected(global, zone, true)
  return running
}

/** A user of this machine: a home folder, and commands in a folder of it. */
export interface User extends Disposable {
  readonly home: string
  file(name: string, content: string): string
  /** The environment of its commands, without settings of the tests' own environment. */
  readonly environment: Readonly<Record<string, string | undefined>>
  /** Runs a command to its end. `within` is a folder below the home folder. */
  run(
    args: readonly string[],
    options?: { readonly within?: string; readonly environment?: Readonly<Record<string, string>> },
  ): Promise<{ readonly code: number; readonly stdout: string; readonly stderr: string }>
}

export function createUser(): User {
  const home = mkdtempSync(join(tmpdir(), 'zonemesh-user-'))
  const own = Object.entries(process.env).filter(([name]) => !/^(ZONEMESH_|XDG_|NO_COLOR|FORCE_COLOR)/.test(name))
  const common = { ...Object.fromEntries(own), HOME: home, ZONEMESH_ROOT: root }
  return {
    home,
    environment: common,
    file(name, content) {
      const path = join(home, name)
      writeFileSync(path, content, { mode: 0o600 })
      return path
    },
    async run(args, { within = '.', environment = {} } = {}) {
      const child = spawn(process.execPath, [...nodeArguments, ...args], {
        cwd: join(home, within),
        env: { ...common, ...environment },
        stdio: ['ignore', 'pipe', 'pipe'],
        timeout: 60_000,
      })
      const texts = { stdout: '', stderr: '' }
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        texts.stdout += text
      })
      child.stderr.setEncoding('utf8').on('data', (text: string) => {
        texts.stderr += text
      })
      const [code]: (number | null)[] = await once(child, 'close')
      return { code: code ?? -1, ...texts }
    },
    [Symbol.dispose]: () => rmSync(home, { recursive: true, force: true }),
  }
}
