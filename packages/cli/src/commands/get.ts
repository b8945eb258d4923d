import type { Kind } from '@zonemesh/core/kinds/kind.ts'
import { option, text, toggle } from '@zonemesh/plane/config/options.ts'
import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import { stringify } from 'yaml'
import { z } from 'zod'
import { type Client, clientOptions, createClient } from '../base/client.ts'
import { CommandError, type Context, defineCommand } from '../base/command.ts'
import { readTemplate, type Template } from '../output/json-path.ts'
import { cellsOf, titlesOf } from '../output/resource-table.ts'
import { lineOf, table, widthsOf } from '../output/table.ts'
import { jsonText } from '../output/terminal-text.ts'
import { findItem } from '../resources/find-item.ts'
import { findOverview, listItems, listOverviews, type Overview, offlineZones, type Scope } from '../resources/items.ts'
import { pathOf } from '../resources/kinds.ts'
import { resourceFrom } from '../resources/resource-word.ts'
import { readSelector } from '../resources/selector.ts'
import { type Seen, watch } from '../resources/watch.ts'

const forms = ['table', 'wide', 'name', 'yaml', 'json'] as const
const isForm = (form: string): boolean => forms.some((one) => one === form) || /^jsonpath=./.test(form)
const output = z
  .string()
  .refine(isForm, `expected ${forms.join(', ')} or jsonpath=TEMPLATE`)
  .optional()

const yamlText = (value: unknown): string => stringify(value, { lineWidth: 0 }).trimEnd()

/** The options that select resources of a kind, of `get` and of commands like it. */
export const scopeOptions = {
  mesh: option(text.optional(), 'the mesh of mesh-scoped kinds', {
    placeholder: 'MESH',
    short: 'm',
    shownDefault: 'default',
  }),
  allMeshes: option(toggle.default(false), 'the resources of all meshes', { short: 'A' }),
  selector: option(text.optional(), 'only resources with these labels; for Dataplanes, tags count too', {
    placeholder: 'KEY=VALUE[,…]',
    short: 'l',
  }),
}

/** The scope that the options name. Throws a usage error if they contradict each other. */
export function scopeFrom(values: {
  readonly mesh: string | undefined
  readonly allMeshes: boolean
  readonly selector: string | undefined
}): Scope {
  if (values.allMeshes && values.mesh !== undefined)
    throw new CommandError('expected --mesh or --all-meshes, found both', 2)
  return { mesh: values.allMeshes ? undefined : (values.mesh ?? 'default'), selector: readSelector(values.selector) }
}

export const get = defineCommand({
  name: 'get',
  summary: 'show resources of a kind, or one by its name',
  usage: 'KIND [NAME] [-o table|wide|name|yaml|json|jsonpath=TEMPLATE] [--mesh MESH | -A] [-l KEY=VALUE] [-w]',
  examples: [
    'zonemesh get meshes',
    'zonemesh get meshgatewayroutes',
    'zonemesh get dataplanes -A -l kuma.io/service=echo -o wide',
    'zonemesh get dataplane echo-1 -o yaml',
    'zonemesh get timeouts --watch',
    "zonemesh get timeouts -o jsonpath='{.items[*].name}'",
  ],
  arity: { min: 1, max: 2 },
  options: {
    output: option(output, `how to show it: ${forms.join(', ')}, or jsonpath=TEMPLATE as in kubectl`, {
      placeholder: 'FORMAT',
      short: 'o',
      shownDefault: 'table for lists, yaml for one',
    }),
    watch: option(
      toggle.default(false),
      'go on and show each change of a resource when it happens; that a proxy connects or leaves is no change',
      { short: 'w' },
    ),
    ...scopeOptions,
    ...clientOptions,
  },
  async run(values, context) {
    const { kind, name } = resourceFrom(context.positionals)
    if (!kind) throw new CommandError('expected a kind', 2)
    const scope = scopeFrom(values)
    const client = createClient(values)
    if (values.watch && name !== undefined) throw new CommandError('expected a kind with --watch, found a name', 2)
    if (values.watch) return showChanges(client, context, kind, scope, values.output ?? 'table')
    if (name === undefined) return showList(client, context, kind, scope, values.output ?? 'table')
    if (scope.mesh === undefined) throw new CommandError('expected --mesh with a name, found --all-meshes', 2)
    return showOne(client, context, { kind, mesh: scope.mesh, name }, values.output ?? 'yaml')
  },
})

/** The template of a form. A line break at the end of its text is the one that is printed anyway. */
function templateIn(form: string): Template {
  const template = readTemplate(form.slice('jsonpath='.length))
  return (value) => template(value).replace(/\n$/, '')
}

/** As in kubectl: `timeout/slow`, which other commands take as a resource. */
const nameText = (kind: Kind, item: JsonObject): string => `${kind.name.toLowerCase()}/${String(item['name'])}`

/** `no retries in mesh default`. */
function noneText(kind: Kind, { mesh, selector }: Scope): string {
  const where = kind.scope === 'mesh' && mesh !== undefined ? ` in mesh ${mesh}` : ''
  return `no ${kind.title.plural.toLowerCase()}${where}${selector.size > 0 ? ' with these labels or tags' : ''}`
}

async function showList(client: Client, context: Context, kind: Kind, scope: Scope, form: string): Promise<0> {
  if (form === 'table' || form === 'wide') {
    const overviews = await listOverviews(client, kind, scope)
    if (overviews.length === 0) context.print(noneText(kind, scope))
    else for (const line of await tableLines(client, kind, overviews, form === 'wide')) context.print(line)
    return 0
  }
  const template = form.startsWith('jsonpath=') ? templateIn(form) : undefined
  const items = await listItems(client, kind, scope)
  if (template) context.print(template({ items }))
  else if (form === 'json') context.print(jsonText(items))
  else if (form === 'yaml') for (const item of items) context.print(`---\n${yamlText(item)}`)
  else for (const item of items) context.print(nameText(kind, item))
  return 0
}

async function showOne(
  client: Client,
  context: Context,
  { kind, mesh, name }: { readonly kind: Kind; readonly mesh: string; readonly name: string },
  form: string,
): Promise<0> {
  const template = form.startsWith('jsonpath=') ? templateIn(form) : undefined
  const { json } = await findItem(client, kind, mesh, name)
  if (template) context.print(template(json))
  else if (form === 'json') context.print(jsonText(json))
  else if (form === 'yaml') context.print(yamlText(json))
  else if (form === 'name') context.print(nameText(kind, Object(json)))
  else {
    const overview = await findOverview(client, kind, pathOf(kind, mesh, name))
    for (const line of await tableLines(client, kind, overview ? [overview] : [], form === 'wide')) context.print(line)
  }
  return 0
}

async function tableLines(client: Client, kind: Kind, overviews: readonly Overview[], isWide: boolean) {
  const options = { isWide, nowMs: Date.now(), offlineZones: await offlineZones(client, kind) }
  const cells = overviews.map((one) => cellsOf(kind, one, options))
  return table(titlesOf(kind, isWide), cells).map((line) => line.trimEnd())
}

/** Shows the list, then a row for each change, until the command is stopped. */
async function showChanges(client: Client, context: Context, kind: Kind, scope: Scope, form: string): Promise<0> {
  const template = form.startsWith('jsonpath=') ? templateIn(form) : undefined
  const isWide = form === 'wide'
  const isTable = form === 'table' || isWide
  const titles = ['EVENT', ...titlesOf(kind, isWide)]
  let widths: readonly number[] | undefined
  for await (const seen of watch(client, kind, scope, context.signal)) {
    const offline = isTable ? await offlineZones(client, kind) : new Set<string>()
    const options = { isWide, nowMs: Date.now(), offlineZones: offline }
    const cells = isTable ? seen.map(({ change, overview }) => [change, ...cellsOf(kind, overview, options)]) : []
    if (isTable && !widths) {
      widths = widthsOf([titles, ...cells])
      context.print(lineOf(titles, widths))
    }
    for (const row of cells) context.print(lineOf(row, widths ?? []).trimEnd())
    if (!isTable) for (const one of seen) context.print(eventText(kind, one, form, template))
  }
  return 0
}

function eventText(kind: Kind, { change, overview: { item } }: Seen, form: string, template: Template | undefined) {
  if (template) return template(item)
  if (form === 'json') return jsonText({ event: change, resource: item }, 0)
  return form === 'yaml' ? `---\n# ${change}\n${yamlText(item)}` : `${change} ${nameText(kind, item)}`
}
