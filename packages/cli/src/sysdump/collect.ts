import { closeSync, existsSync, fstatSync, openSync, readdirSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { publicKinds } from '@zonemesh/core/registry.ts'
import { messageOf } from '@zonemesh/shared/base/base.ts'
import { version } from '@zonemesh/shared/base/version.ts'
import { type Client, UnreachableError } from '../base/client.ts'
import { judgeMachine, readMachine } from '../check/machine.ts'
import type { Redaction } from './redact.ts'

/** A file of the archive. */
export interface DumpFile {
  readonly name: string
  readonly content: string
}

export interface DumpSources {
  /** The planes to read, with the folder of each in the archive. */
  readonly planes: readonly (readonly [name: string, client: Client])[]
  /** The data folder of the scene; its logs are read. */
  readonly folder: string
  readonly environment: NodeJS.ProcessEnv
}

/** Kinds whose rows are secrets: only their number is collected. */
const secretKinds = new Set(['Secret', 'GlobalSecret'])
const logBytesMax = 2_000_000

/** Collects what a bug report needs. Everything passes the redaction. A part that fails is named in `errors.txt`. */
export async function collect(sources: DumpSources, redaction: Redaction): Promise<readonly DumpFile[]> {
  const errors: string[] = []
  const files: DumpFile[] = []
  const add = async (name: string, content: () => unknown) => {
    try {
      const found = await content()
      const text = typeof found === 'string' ? redaction.text(found) : JSON.stringify(redaction.value(found), null, 2)
      files.push({ name, content: `${text}\n` })
    } catch (thrown) {
      errors.push(redaction.text(`${name}: ${messageOf(thrown)}`))
    }
  }
  await add(
    'version.txt',
    () => `zonemesh ${version}\nNode ${process.versions.node}\n${process.platform} ${process.arch}`,
  )
  // Names only: values may be secrets.
  await add('environment.txt', () => Object.keys(sources.environment).sort().join('\n'))
  await add('machine.json', async () => judgeMachine(await readMachine(sources.folder, sources.environment)))
  for (const [name, client] of sources.planes) await addPlane(name, client, add)
  for (const name of logsIn(sources.folder)) await add(`logs/${name}`, () => tailOf(join(sources.folder, name)))
  if (errors.length > 0) files.push({ name: 'errors.txt', content: `${errors.join('\n')}\n` })
  return files
}

type Add = (name: string, content: () => unknown) => Promise<void>

async function addPlane(name: string, client: Client, add: Add): Promise<void> {
  const get = async (path: string): Promise<unknown> => (await client.need('GET', path)).json
  await add(`${name}/about.json`, () => get('/'))
  await add(`${name}/status.json`, () => get('/_status'))
  await add(`${name}/config.json`, () => get('/config'))
  await add(`${name}/counts.json`, async () =>
    Object.fromEntries(
      await Promise.all(
        publicKinds.map(async ({ name: kind, path }) => {
          const list = await get(`/${path}?size=1`).catch(totalError)
          return [kind, list !== null && typeof list === 'object' ? Reflect.get(list, 'total') : 'unknown']
        }),
      ),
    ),
  )
  for (const { name: kind, path } of publicKinds)
    if (!secretKinds.has(kind)) await add(`${name}/resources/${path}.json`, () => get(`/${path}?size=1000`))
}

/** A kind that this user may not read has a reason in place of its number. */
function totalError(thrown: unknown): { readonly total: string } {
  if (thrown instanceof UnreachableError) throw thrown
  return { total: messageOf(thrown) }
}

const logsIn = (folder: string): readonly string[] =>
  existsSync(folder)
    ? readdirSync(folder)
        .filter((name) => name.endsWith('.log'))
        .sort()
    : []

/** The end of a log, from the start of a line. */
function tailOf(path: string): string {
  const file = openSync(path, 'r')
  try {
    const { size } = fstatSync(file)
    const buffer = Buffer.alloc(Math.min(size, logBytesMax))
    readSync(file, buffer, 0, buffer.length, size - buffer.length)
    const text = buffer.toString('utf8')
    return size > buffer.length ? text.slice(text.indexOf('\n') + 1) : text
  } finally {
    closeSync(file)
  }
}
