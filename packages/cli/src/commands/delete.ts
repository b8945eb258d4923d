import type { Outcome } from '@zonemesh/plane/api/answers.ts'
import { option } from '@zonemesh/plane/config/options.ts'
import { type Client, clientOptions, createClient, errorLines, requireFields } from '../base/client.ts'
import { CommandError, type Context, defineCommand } from '../base/command.ts'
import { readDocuments } from '../files/documents.ts'
import { kindByWord, pathOf } from '../resources/kinds.ts'
import { meshOption, shownName } from '../resources/resource-word.ts'
import { apply } from './apply.ts'

interface Named {
  readonly type: string
  readonly mesh?: string
  readonly name: string
}

async function deleteOne(client: Client, context: Context, { type, mesh, name }: Named, declared: boolean) {
  const kind = kindByWord(type)
  const path = `${pathOf(kind, mesh ?? '', name)}${declared ? '?declared=true' : ''}`
  const reply = await client.call('DELETE', path)
  if (reply.status === 404)
    throw new CommandError(`no ${kind.name} "${name}"${mesh === undefined ? '' : ` in mesh "${mesh}"`}`)
  if (reply.status >= 400) throw new CommandError(errorLines(reply))
  if (reply.headers['zonemesh-revision'] === undefined)
    throw new CommandError(
      `${client.address} does not look like a control plane: its answer has no revision; check --address`,
    )
  context.print(`${shownName({ type, name, ...(mesh === undefined ? {} : { mesh }) })}: deleted`)
  context.print(`revision ${String(reply.headers['zonemesh-revision'])}`)
  return 0 as const
}

async function deleteMany(client: Client, context: Context, deletions: readonly Named[], declared: boolean) {
  const body = { documents: [], deletions, declared, atomic: true, intent: `delete ${deletions.length} resources` }
  const reply = await client.call('POST', '/_commit', body)
  if (reply.status < 400) requireFields(client, reply, ['outcomes', 'revision'])
  const { json } = reply
  if (json === null || typeof json !== 'object' || !('outcomes' in json)) throw new CommandError(errorLines(reply))
  // The plane answers with its own types.
  const { outcomes, revision } = json as { readonly outcomes: readonly Outcome[]; readonly revision: string }
  for (const one of outcomes) {
    if (one.outcome === 'refused') context.note(`${shownName(one)}: refused: ${one.detail ?? 'not valid'}`)
    else if (one.outcome === 'deleted') context.print(`${shownName(one)}: deleted`)
  }
  if (reply.status >= 400) {
    context.note('nothing was deleted')
    return 1 as const
  }
  context.print(`revision ${revision}`)
  return 0 as const
}

/** The resources that the documents of files name. All other fields are ignored. */
async function namedIn(files: readonly string[]): Promise<Named[]> {
  return (await readDocuments(files, {})).map(({ content, error, file, number }): Named => {
    const of = (key: string): unknown =>
      content !== null && typeof content === 'object' ? Reflect.get(content, key) : undefined
    const [type, mesh, name] = [of('type'), of('mesh'), of('name')]
    if (error !== undefined || typeof type !== 'string' || typeof name !== 'string')
      throw new CommandError(`${file}, document ${number}: ${error ?? 'expected a resource with type and name'}`)
    return { type, name, ...(typeof mesh === 'string' ? { mesh } : {}) }
  })
}

export const remove = defineCommand({
  name: 'delete',
  summary: 'delete resources, several of them in one commit',
  usage: '(KIND NAME [NAME…] | -f FILE|DIR|-) [--mesh MESH] [--yes-remove-many]',
  examples: [
    'zonemesh delete meshgatewayroute edge-route',
    'zonemesh delete timeout slow slower --mesh default',
    'zonemesh delete -f old-policies --yes-remove-many',
  ],
  arity: { min: 0, max: Number.POSITIVE_INFINITY },
  options: {
    mesh: meshOption,
    file: option(
      apply.options.file.schema.default([]),
      'delete the resources that the documents of a file or folder name',
      {
        placeholder: 'FILE|DIR|-',
        repeated: true,
        short: 'f',
      },
    ),
    yesRemoveMany: apply.options.yesRemoveMany,
    ...clientOptions,
  },
  async run(values, context) {
    const [word, ...names] = context.positionals
    if ((word === undefined) === (values.file.length === 0) || (word !== undefined && names.length === 0))
      throw new CommandError('expected KIND NAME, or -f FILE', 2)
    const client = createClient(values)
    const declared = values.yesRemoveMany
    if (word === undefined) {
      const deletions = await namedIn(values.file)
      if (deletions.length === 0) throw new CommandError(`no documents in ${values.file.join(', ')}`)
      return deleteMany(client, context, deletions, declared)
    }
    const kind = kindByWord(word)
    const mesh = kind.scope === 'mesh' ? { mesh: values.mesh } : {}
    const named = names.map((name): Named => ({ type: kind.name, name, ...mesh }))
    const [only] = named
    return named.length === 1 && only
      ? deleteOne(client, context, only, declared)
      : deleteMany(client, context, named, declared)
  },
})
