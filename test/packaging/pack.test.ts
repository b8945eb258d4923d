import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePorts } from '@zonemesh/cli/scene/ports.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { manifest } from '../../packaging/project.ts'
import { stagePackage } from '../../packaging/stage.ts'
import { api, local, until } from '../e2e/rig.ts'

let folder: string
const at = (name: string): string => join(folder, name)
const npm = (cwd: string, ...words: readonly string[]): string =>
  execFileSync('npm', [...words, '--no-audit', '--no-fund', '--loglevel=error'], {
    ...{ cwd, encoding: 'utf8' as const },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
/** The environment of a user: nothing of the checkout or of `npm test`, and a home folder of its own. */
const environment = (): Record<string, string> => ({
  PATH: `${at('empty/node_modules/.bin')}:${process.env['PATH']}`,
  HOME: at('home'),
})

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'zonemesh-pack-'))
  for (const name of ['empty', 'home']) execFileSync('mkdir', [at(name)])
  await stagePackage(at('staged'))
  npm(at('staged'), 'pack', '--silent', '--pack-destination', folder)
  const tarball = at(`zonemesh-${manifest.version}.tgz`)
  npm(at('empty'), 'install', '--ignore-scripts', '--omit=dev', '--offline', '--cache', at('cache'), tarball)
}, 300_000)
afterAll(() => rmSync(folder, { recursive: true, force: true }))

test('IN20 the tarball of npm pack is installed in an empty folder with --ignore-scripts --omit=dev and without a registry, and a global runs from it', async () => {
  const installed = at('empty/node_modules/zonemesh')
  expect(readdirSync(at('empty')).sort()).toEqual(['node_modules', 'package-lock.json', 'package.json'])
  expect(existsSync(join(installed, 'packages/cli/src/main.ts'))).toBe(false)
  expect(['vitest', 'typescript'].filter((name) => existsSync(at(`empty/node_modules/${name}`)))).toEqual([])

  const [apiPort = 0] = await freePorts(systemRandom, 1)
  const ports = ['--api-port', `${apiPort}`, '--api-tls-port', '0', '--sync-port', '0', '--health-port', '0']
  const child = spawn('zonemesh', ['global', '--data-dir', at('global'), '--host', local, ...ports], {
    ...{ cwd: at('home'), env: environment() },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const ended = once(child, 'exit')
  try {
    const address = `http://${local}:${apiPort}`
    await until(
      'the global answers',
      () => api(address).call('GET', '/meshes/default'),
      ({ status }) => status === 200,
      60_000,
    )
    const run = (...words: readonly string[]) =>
      execFileSync('zonemesh', words, { cwd: at('home'), env: environment(), encoding: 'utf8' })
    expect(run('version', '--address', address)).toContain(`client ${manifest.version} `)
    expect(run('status', '--address', address)).toMatch(/^global control plane, store /)
  } finally {
    child.kill('SIGTERM')
    expect(await ended).toEqual([0, null])
  }
}, 120_000)
