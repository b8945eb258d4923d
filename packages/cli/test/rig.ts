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

/** A user of this machine: a home folder, and commands in a folder of it. */
export interface User extends Disposable {
  readonly home: string
  file(name: string, content: string): string
  /** Runs a command to its end. `within` is a folder below the home folder. */
  run(
    args: readonly string[],
    options?: { readonly within?: string; readonly environment?: Readonly<Record<string, string>> },
  ): Promise<{ readonly code: number; readonly stdout: string; readonly stderr: string }>
}

export function createUser(): User {
  const home = mkdtempSync(join(tmpdir(), 'zonemesh-user-'))
  const own = Object.entries(process.env).filter(([name]) => !/^(ZONEMESH_|XDG_|NO_COLOR|FORCE_COLOR)/.test(name))
  return {
    home,
    file(name, content) {
      const path = join(home, name)
      writeFileSync(path, content, { mode: 0o600 })
      return path
    },
    async run(args, { within = '.', environment = {} } = {}) {
      const child = spawn(process.execPath, [...nodeArguments, ...args], {
        cwd: join(home, within),
        env: { ...Object.fromEntries(own), HOME: home, ZONEMESH_ROOT: root, ...environment },
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
