import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePorts, planePorts } from '@zonemesh/cli/scene/ports.ts'
import { readSceneFile } from '@zonemesh/cli/scene/scene-file.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import { type Folder, type Outcome, root } from './rig.ts'

export interface ShellOptions {
  /** The command that runs the shell, for example in another network. */
  readonly within?: readonly string[]
  readonly environment?: Readonly<Record<string, string>>
}

/** A folder in which commands run as a user types them, with `zonemesh` on the PATH. */
export function createShell(folder: Folder, { within = [], environment = {} }: ShellOptions = {}) {
  const tools = join(folder.path, 'bin')
  mkdirSync(tools)
  // A file, because commands in the background would keep a pipe open.
  const place = join(folder.path, 'bin/place')
  symlinkSync(join(root, 'bin/zonemesh'), join(tools, 'zonemesh'))

  async function shell(
    commands: string,
    cwd: string,
  ): Promise<Outcome & { readonly output: string; readonly cwd: string }> {
    const [program = 'bash', ...words] = [...within, 'bash', '-e', '-c', `cd '${cwd}'\n${commands}\npwd > '${place}'`]
    const child = spawn(program, words, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...environment, PATH: `${tools}:${process.env['PATH']}` },
      timeout: 90_000,
    })
    const texts = { stdout: '', stderr: '', output: '' }
    child.stdout.setEncoding('utf8').on('data', (part: string) => {
      texts.stdout += part
      texts.output += part
    })
    child.stderr.setEncoding('utf8').on('data', (part: string) => {
      texts.stderr += part
      texts.output += part
    })
    const [code, signal]: (number | string)[] = await once(child, 'close')
    const to = code === 0 ? readFileSync(place, 'utf8').trim() : cwd
    return { code: code ?? signal ?? '', ...texts, cwd: to }
  }
  return shell
}

const filesBelow = (folder: string): readonly string[] =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => join(folder, name))
    .filter((path) => statSync(path).isFile())

/**
 * Gives the scene of a folder free ports, also in its files, because tests of other files may use the usual ones.
 * Returns the port that stands for a usual one.
 */
export async function useFreePorts(folder: string): Promise<(usual: number) => number> {
  const scene = readSceneFile(join(folder, 'zonemesh.yaml'), {})
  const names = [...planePorts(scene.zones).keys(), ...scene.ports.keys()]
  const usual = [8080, 8443, 18_080]
  const free = await freePorts(systemRandom, names.length + usual.length)
  const portFor = (port: string | number) => free[usual.indexOf(Number(port))] ?? 0
  for (const file of filesBelow(folder)) {
    const text = readFileSync(file, 'utf8')
    const changed = text
      .replace(/\bport: (8080|8443|18080)\b/g, (_, port: string) => `port: ${portFor(port)}`)
      .replace(
        /(127\.0\.0\.1|example\.com):(8080|8443)\b/g,
        (_, host: string, port: string) => `${host}:${portFor(port)}`,
      )
    if (changed !== text) writeFileSync(file, changed)
  }
  const kept = Object.fromEntries(names.map((name, index) => [name, free[usual.length + index]]))
  mkdirSync(join(folder, '.zonemesh'), { recursive: true, mode: 0o700 })
  writeFileSync(join(folder, '.zonemesh/ports.json'), JSON.stringify(kept))
  return portFor
}
