import { createHash } from 'node:crypto'
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { nodeFlags } from '../packages/cli/src/base/node-flags.ts'
import { lockedByFolder, manifest, root, runtimeFolders } from './project.ts'
import { run } from './run.ts'

/** The architectures of Linux with an own tarball and .deb, as Node and as Debian name them. */
export const debianNames = { x64: 'amd64', arm64: 'arm64' } as const
export type Architecture = keyof typeof debianNames

/** Adds Node, the dependencies and a launcher for them to a staged package: it then needs nothing but the C library. */
export function stageRuntime(staged: string, folder: string, architecture: Architecture): void {
  rmSync(folder, { recursive: true, force: true })
  cpSync(staged, folder, { recursive: true })
  for (const name of runtimeFolders) copyDependency(name, folder)
  const node = nodeOf(architecture)
  mkdirSync(join(folder, 'node/bin'), { recursive: true })
  cpSync(join(node, 'bin/node'), join(folder, 'node/bin/node'))
  cpSync(join(node, 'LICENSE'), join(folder, 'node/LICENSE'))
  writeFileSync(join(folder, 'bin/zonemesh'), launcher)
  chmodSync(join(folder, 'bin/zonemesh'), 0o755)
}

/** What runs, and what the licences require. Types, sources, tests and documents serve developers only. */
const used = /\.(js|cjs|mjs|json|proto)$|(^|\/)(licen[cs]e|notice|copying)[^/]*$/i
const unused = /\.d\.[cm]?ts$|(^|\/)(\.[^/]+|tests?|benchmarks?|examples?|integration)(\/|$)/

/** A package inside another one has its own line in the lock file. */
function copyDependency(name: string, folder: string): void {
  if (name.startsWith('node_modules/@types/')) return
  const files = readdirSync(join(root, name), { recursive: true, encoding: 'utf8' })
  const own = files.filter((file) => !/(^|\/)node_modules\//.test(file))
  const native = own.find((file) => /\.node$|(^|\/)binding\.gyp$/.test(file))
  if (native !== undefined) throw new Error(`${name} has native code, which runs on one architecture only: ${native}`)
  for (const file of own) {
    if (!used.test(file) || unused.test(file) || !statSync(join(root, name, file)).isFile()) continue
    const target = join(folder, name, file)
    mkdirSync(dirname(target), { recursive: true })
    copyFileSync(join(root, name, file), target)
    chmodSync(target, 0o644)
  }
}

/** The folder of the pinned Node of an architecture. One that is not installed here is fetched and compared with the lock file. */
function nodeOf(architecture: Architecture): string {
  const name = `node-linux-${architecture}`
  const installed = join(root, 'node_modules', name)
  if (existsSync(join(installed, 'bin/node'))) return installed
  const version = manifest.optionalDependencies[name] ?? ''
  const cache = join(root, '.cache/packaging', `${name}-${version}`)
  if (existsSync(join(cache, 'package/bin/node'))) return join(cache, 'package')
  mkdirSync(cache, { recursive: true })
  run('npm', ['pack', '--silent', `${name}@${version}`, '--pack-destination', cache])
  const file = join(cache, `${name}-${version}.tgz`)
  const found = `sha512-${createHash('sha512').update(readFileSync(file)).digest('base64')}`
  const expected = lockedByFolder[`node_modules/${name}`]?.integrity
  if (found !== expected) throw new Error(`${file}: expected the hash of the lock file, ${expected}, found ${found}`)
  run('tar', ['-xzf', file, '-C', cache, 'package/bin/node', 'package/LICENSE'])
  rmSync(file)
  return join(cache, 'package')
}

/** Replaces the launcher of the checkout, which looks for a Node and installs what is missing. */
const launcher = `#!/bin/sh
# Runs zonemesh with the Node beside it. Nothing is written below this folder.
file=$0
while [ -L "$file" ]; do
  link=$(readlink "$file")
  case $link in
  /*) file=$link ;;
  *) file=\${file%/*}/$link ;;
  esac
done
root=$(CDPATH='' cd -P -- "\${file%/*}/.." && pwd) || exit 1
caches=\${XDG_CACHE_HOME:-\${HOME:+$HOME/.cache}}
if [ -n "$caches" ]; then
  export NODE_COMPILE_CACHE="\${NODE_COMPILE_CACHE:-$caches/zonemesh/compile}"
fi
export ZONEMESH_ROOT="$root"
exec "$root/node/bin/node" ${nodeFlags.join(' ')} "$root/packages/cli/src/main.js" "$@"
`
