// npm run package: writes the npm package, and a tarball and a .deb for each architecture, into dist/. Arguments select some
// of them: npm run package -- npm tarball-x64.
import { mkdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { buildDeb } from './deb.ts'
import { commitTime, manifest, root } from './project.ts'
import { run } from './run.ts'
import { type Architecture, debianNames, stageRuntime } from './runtime.ts'
import { stagePackage } from './stage.ts'

const { version } = manifest
const dist = join(root, 'dist')
const staged = join(dist, 'package')

function buildPackage(): string {
  run('npm', ['pack', '--silent', '--pack-destination', dist], staged)
  return join(dist, `zonemesh-${version}.tgz`)
}

const runtimeName = (architecture: Architecture): string => `zonemesh-${version}-linux-${architecture}`

function buildTarball(architecture: Architecture): string {
  const name = runtimeName(architecture)
  const file = join(dist, `${name}.tar.gz`)
  const same = ['--sort=name', `--mtime=@${commitTime()}`, '--owner=0', '--group=0', '--numeric-owner', '--mode=go-w']
  run('tar', [...same, '-I', 'gzip -n', '-cf', file, '-C', dist, name])
  return file
}

function buildDebianPackage(architecture: Architecture): string {
  const file = join(dist, `zonemesh_${version}_${debianNames[architecture]}.deb`)
  const runtime = join(dist, runtimeName(architecture))
  buildDeb({ runtime, folder: join(dist, `deb-${architecture}`), file, architecture })
  return file
}

const builders: Readonly<Record<string, () => string>> = {
  npm: buildPackage,
  'tarball-x64': () => buildTarball('x64'),
  'deb-x64': () => buildDebianPackage('x64'),
  'tarball-arm64': () => buildTarball('arm64'),
  'deb-arm64': () => buildDebianPackage('arm64'),
}

const names = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(builders)
const unknown = names.find((name) => !builders[name])
if (unknown !== undefined) throw new Error(`expected one of ${Object.keys(builders).join(', ')}, found ${unknown}`)
mkdirSync(dist, { recursive: true })
await stagePackage(staged)
for (const architecture of ['x64', 'arm64'] as const)
  if (names.some((name) => name.endsWith(architecture)))
    stageRuntime(staged, join(dist, runtimeName(architecture)), architecture)
for (const name of names) {
  const file = builders[name]?.() ?? ''
  process.stdout.write(`${file} ${(statSync(file).size / 1e6).toFixed(1)} MB\n`)
}
