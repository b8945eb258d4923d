import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { z } from 'zod'

export const root = resolve(import.meta.dirname, '..')

const manifestSchema = z.object({
  name: z.string(),
  version: z.string(),
  description: z.string(),
  license: z.string(),
  type: z.string(),
  bin: z.record(z.string(), z.string()),
  dependencies: z.record(z.string(), z.string()),
  optionalDependencies: z.record(z.string(), z.string()),
})
export const manifest = manifestSchema.parse(JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')))

const lockedSchema = z.object({
  version: z.string().optional(),
  integrity: z.string().optional(),
  dev: z.boolean().optional(),
  optional: z.boolean().optional(),
  link: z.boolean().optional(),
})
const lock = z
  .object({ packages: z.record(z.string(), lockedSchema) })
  .parse(JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')))

/** The packages of the lock file by their folders, such as `node_modules/zod`. */
export const lockedByFolder: Readonly<Record<string, z.infer<typeof lockedSchema>>> = lock.packages

/** The folders of the packages that run in production. */
export const runtimeFolders: readonly string[] = Object.entries(lockedByFolder)
  .filter(([folder, { dev, optional, link }]) => folder.startsWith('node_modules/') && !dev && !optional && !link)
  .map(([folder]) => folder)

/** The time of the commit in seconds: packed files have it, so the same commit gives the same bytes. */
export function commitTime(): number {
  const given = process.env['SOURCE_DATE_EPOCH']
  return Number(given ?? execFileSync('git', ['log', '-1', '--format=%ct'], { cwd: root, encoding: 'utf8' }))
}
