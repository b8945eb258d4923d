import { chmodSync, copyFileSync, mkdirSync, readdirSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { root, runtimeFolders } from './project.ts'

/** Copies the dependencies of production in the versions of the lock file, without what only developers need. */
export function copyDependencies(folder: string): void {
  for (const name of runtimeFolders) copyDependency(name, folder)
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
