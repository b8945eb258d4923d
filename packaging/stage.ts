import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { copyDependencies } from './dependencies.ts'
import { toJavaScript } from './javascript.ts'
import { manPages } from './man.ts'
import { manifest, root } from './project.ts'

/** Files and folders of the checkout that every form of the installation has as they are. */
const copied = [
  ...['bin/zonemesh', 'demo', 'scenes', 'docs', 'README.md', 'SECURITY.md', 'CHANGELOG.md', 'LICENSE'],
  // The pages about metrics and alerts name these.
  ...['monitoring/alerts.yml', 'monitoring/dashboard.json'],
]

/**
 * Writes what `npm pack` packs: the layout of the checkout as JavaScript, the manual pages and the dependencies, so that
 * an installation has the versions of the lock file and needs no registry.
 */
export async function stagePackage(folder: string): Promise<void> {
  rmSync(folder, { recursive: true, force: true })
  for (const name of readdirSync(join(root, 'packages'))) {
    for (const file of filesBelow(`packages/${name}/src`, '.ts'))
      if (!file.endsWith('/reference-main.ts'))
        write(join(folder, file.replace(/\.ts$/, '.js')), toJavaScript(readFileSync(join(root, file), 'utf8'), file))
    for (const file of filesBelow(`packages/${name}/gen`, '.js')) cpSync(join(root, file), join(folder, file))
  }
  for (const name of copied) cpSync(join(root, name), join(folder, name), { recursive: true })
  const { name, version, description, license, type, bin, dependencies } = manifest
  const engines = { node: '>=24' }
  const pages = await manPages()
  for (const { file, text } of pages) write(join(folder, 'man', file), text)
  const man = pages.map(({ file }) => `./man/${file}`)
  const needs = { engines, dependencies, bundleDependencies: true }
  const packed = { name, version, description, license, type, bin, man, ...needs }
  copyDependencies(folder)
  write(join(folder, 'package.json'), `${JSON.stringify(packed, undefined, 2)}\n`)
}

/** The files below a folder of the checkout whose names end so, as paths from the root. */
function filesBelow(folder: string, ending: string): string[] {
  if (!existsSync(join(root, folder))) return []
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith(ending))
    .map((name) => join(folder, name))
    .sort()
}

function write(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
}
