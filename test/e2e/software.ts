import { cpSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ownMigrations } from '@zonemesh/shared/store/postgres-schema.ts'
import { root } from './rig.ts'

/** The software of a process: the file that runs a command, and its version. */
export interface Software {
  readonly mainFile: string
  readonly version: string
}

const manifestOf = (folder: string): { readonly version: string } =>
  JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
const softwareIn = (folder: string): Software => ({
  mainFile: join(folder, 'packages/cli/src/main.ts'),
  version: manifestOf(folder).version,
})

/** The software of this checkout. */
export const thisSoftware: Software = softwareIn(root)

/** The version of the schema of PostgreSQL that this checkout creates. */
export const ownSchemaVersion = 1 + ownMigrations.length

/**
 * Copies the sources of this checkout as a later version whose PostgreSQL store has one more migration, which adds a
 * column. The migration states whether this checkout tolerates it.
 */
export function copySoftware(folder: string, version: string, options: { readonly isTolerated: boolean }): Software {
  const wanted = /^packages(\/[^/]+(\/package\.json|\/(src|gen)(\/.*)?)?)?$/
  cpSync(join(root, 'packages'), join(folder, 'packages'), {
    recursive: true,
    filter: (path) => wanted.test(path.slice(root.length + 1)),
  })
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ ...manifestOf(root), version }))
  const usableFrom = options.isTolerated ? 1 : ownSchemaVersion + 1
  const sql = "'ALTER TABLE ' + schema + '.records ADD COLUMN trace text'"
  const migration = `{ statements: (schema) => ${sql}, usableFrom: ${usableFrom} },\n`
  const file = join(folder, 'packages/shared/src/store/postgres-schema.ts')
  const [before, after, ...more] = readFileSync(file, 'utf8').split('ownMigrations: readonly Migration[] = [')
  if (before === undefined || after === undefined || more.length > 0)
    throw new Error(`${file} has no list of migrations`)
  // Behind those of this version: its list ends at the first line that begins with a bracket, or at once.
  const end = after.startsWith(']') ? 0 : after.indexOf('\n]')
  const list = `${after.slice(0, end)}${migration}${after.slice(end)}`
  writeFileSync(file, `${before}ownMigrations: readonly Migration[] = [${list}`)
  linkModules(folder)
  return softwareIn(folder)
}

/** The dependencies are those of the checkout. The packages of the project are those of the copy. */
function linkModules(folder: string): void {
  const [from, to] = [join(root, 'node_modules'), join(folder, 'node_modules')]
  mkdirSync(join(to, '@zonemesh'), { recursive: true })
  for (const name of readdirSync(from).filter((one) => one !== '@zonemesh' && !one.startsWith('.')))
    symlinkSync(join(from, name), join(to, name))
  for (const name of readdirSync(join(folder, 'packages')))
    symlinkSync(join(folder, 'packages', name), join(to, '@zonemesh', name))
}
