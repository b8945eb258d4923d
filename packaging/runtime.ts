import { createHash } from 'node:crypto'
import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { nodeFlags } from '../packages/cli/src/base/node-flags.ts'
import { lockedByFolder, manifest, root } from './project.ts'
import { run } from './run.ts'

/** The architectures of Linux with an own tarball and .deb, as Node and as Debian name them. */
export const debianNames = { x64: 'amd64', arm64: 'arm64' } as const
export type Architecture = keyof typeof debianNames

/** Adds Node and a launcher for it to a staged package: it then needs nothing but the C library. */
export function stageRuntime(staged: string, folder: string, architecture: Architecture): void {
  rmSync(folder, { recursive: true, force: true })
  cpSync(staged, folder, { recursive: true })
  const node = nodeOf(architecture)
  mkdirSync(join(folder, 'node/bin'), { recursive: true })
  cpSync(join(node, 'bin/node'), join(folder, 'node/bin/node'))
  cpSync(join(node, 'LICENSE'), join(folder, 'node/LICENSE'))
  writeFileSync(join(folder, 'bin/zonemesh'), launcher)
  chmodSync(join(folder, 'bin/zonemesh'), 0o755)
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
