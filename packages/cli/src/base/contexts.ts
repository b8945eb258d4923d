import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { nearest } from '@zonemesh/core/kinds/kind.ts'
import { writeAtomic } from '@zonemesh/dataplane/files.ts'
import { messageOf } from '@zonemesh/shared/base/base.ts'
import { stringify } from 'yaml'
import { z } from 'zod'
import { CommandError } from './command.ts'
import { parseYamlFile } from './yaml-file.ts'

const unknownField = (issue: z.core.$ZodRawIssue): string =>
  issue.code === 'unrecognized_keys' ? 'unknown field' : 'expected "name: value"'
const filled = z.string({ error: 'expected a text' }).min(1, 'expected a value')

/** The form of a context's name: it is a word of a command line and a key of the file. */
export const contextName = /^[A-Za-z0-9][\w.-]{0,62}$/
export const contextNameExpected = 'expected a name of at most 63 letters, digits, ".", "_" and "-"'

const contextSchema = z.strictObject(
  {
    address: filled,
    token: filled.optional(),
    tokenFile: filled.optional(),
    adminKeyFile: filled.optional(),
    caCertFile: filled.optional(),
  },
  { error: unknownField },
)
/** A control plane under a name: its address and how to authenticate there. Files have absolute paths. */
export type PlaneContext = z.infer<typeof contextSchema>

const contextsSchema = z.strictObject(
  {
    current: filled.optional(),
    contexts: z
      .record(z.string().regex(contextName, contextNameExpected), contextSchema, {
        error: 'expected "name: { address: URL }"',
      })
      .default({}),
  },
  { error: unknownField },
)
export type Contexts = z.infer<typeof contextsSchema>

/** The file with the contexts of this user. */
export function contextsFile(environment: NodeJS.ProcessEnv = process.env): string {
  const config = environment['XDG_CONFIG_HOME'] || join(homedir(), '.config')
  return join(config, 'zonemesh', 'contexts.yaml')
}

/** The contexts of this user; none without a file. Throws a CommandError that names the line of a damaged file. */
export function readContexts(file = contextsFile()): Contexts {
  if (!existsSync(file)) return { contexts: {} }
  try {
    const { content } = parseYamlFile(file, readFileSync(file, 'utf8'), contextsSchema)
    return content
  } catch (thrown) {
    const reason = thrown instanceof CommandError ? thrown.message : `cannot read ${file}: ${messageOf(thrown)}`
    throw new CommandError(`${reason}; correct this file of contexts, or name the control plane with --address`)
  }
}

const head = '# `zonemesh context` writes this file. It may hold tokens, so only its owner can read it.\n'

/** Replaces the contexts of this user, atomically and with mode 0600. */
export async function writeContexts(contexts: Contexts, file = contextsFile()): Promise<void> {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
  await writeAtomic(file, head + stringify(contexts))
}

/** The context of this name. `source` names the option or file that asks for it. Throws a CommandError if none exists. */
export function contextOf({ contexts }: Contexts, name: string, source: string): PlaneContext {
  const found = Object.hasOwn(contexts, name) ? contexts[name] : undefined
  if (found) return found
  const names = Object.keys(contexts)
  const candidate = nearest(name, names)
  const known =
    names.length === 0 ? 'there are none; add one with `zonemesh context add`' : `there are: ${names.join(', ')}`
  throw new CommandError(
    `${source}: no context "${name}"${candidate ? `; did you mean "${candidate}"?` : ''} (${known})`,
    2,
  )
}
