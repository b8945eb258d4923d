import { cpSync, existsSync, readdirSync, statSync } from 'node:fs'
import { join, relative } from 'node:path'
import { CommandError } from '../base/command.ts'

/** The scenes that `zonemesh init` can write, with what each shows. */
export const templates = {
  'two-zones': 'a gateway in one zone, a service that runs only in the other',
} as const
export type Template = keyof typeof templates
// `keys` returns exactly the names above.
export const templateNames = Object.keys(templates) as [Template, ...Template[]]

const templatesFolder = join(process.env['ZONEMESH_ROOT'] ?? '.', 'scenes')

/** The files of a template, relative to its folder. */
function filesOf(template: Template): readonly string[] {
  const folder = join(templatesFolder, template)
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => statSync(join(folder, name)).isFile())
    .map((name) => relative('.', name))
    .sort()
}

/** Writes a template into a folder. Returns its files. Throws if one of them exists, unless `force` is set. */
export function writeTemplate(template: Template, folder: string, force: boolean): readonly string[] {
  const files = filesOf(template)
  const existing = files.find((file) => existsSync(join(folder, file)))
  if (existing !== undefined && !force)
    throw new CommandError(`${join(folder, existing)} exists already; name another folder, or replace it with --force`)
  for (const file of files) cpSync(join(templatesFolder, template, file), join(folder, file))
  return files
}
