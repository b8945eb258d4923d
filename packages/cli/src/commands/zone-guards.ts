import { option, text, toggle } from '@zonemesh/plane/config/options.ts'
import type { Hold } from '@zonemesh/shared/sync/log/messages.ts'
import { clientOptions, createClient, requireFields } from '../base/client.ts'
import { defineCommand } from '../base/command.ts'
import { apply, requireWait, wait } from './apply.ts'

const pathOf = (zone: string, action: string): string => `/zones/${encodeURIComponent(zone)}/${action}`

export const zoneRelease = defineCommand({
  name: 'zone release',
  summary:
    'release what a zone holds back: a mass removal, another history of the global, another global, or the removal of proxies that were lost at once',
  usage: 'NAME [--hold ID]',
  examples: ['zonemesh zone release east', 'zonemesh zone release east --address http://east.example:5681'],
  arity: { min: 1, max: 1 },
  options: {
    hold: option(text.optional(), 'release only the hold with this id, which `zonemesh status` shows', {
      placeholder: 'ID',
    }),
    ...clientOptions,
  },
  async run(values, { positionals, print }) {
    const [zone = ''] = positionals
    const body = values.hold === undefined ? {} : { hold: values.hold }
    const client = createClient(values)
    const reply = await client.need('POST', pathOf(zone, '_release'), body)
    requireFields(client, reply, ['hold'])
    // The plane answers with this shape.
    const { hold } = reply.json as { readonly hold: Hold }
    const what = `${hold.reason} (${hold.id})`
    print(reply.status === 202 ? `asked zone ${zone} to release: ${what}` : `zone ${zone} releases: ${what}`)
    return 0
  },
})

export const zoneKeep = defineCommand({
  name: 'zone keep',
  summary: 'keep the remaining rows of a zone whose store was lost; otherwise they are removed after five minutes',
  usage: 'NAME',
  examples: ['zonemesh zone keep east'],
  arity: { min: 1, max: 1 },
  options: clientOptions,
  async run(values, { positionals, print }) {
    const [zone = ''] = positionals
    await createClient(values).need('POST', pathOf(zone, '_keep'))
    print(`the remaining rows of the former store of zone ${zone} are kept`)
    return 0
  },
})

export const zoneForget = defineCommand({
  name: 'zone forget',
  summary: 'remove all rows of a deleted zone from the global, and so from the other zones',
  usage: 'NAME [--wait stored@all] [--yes-remove-many]',
  examples: ['zonemesh zone forget east', 'zonemesh zone forget east --wait stored@all --timeout 10s'],
  arity: { min: 1, max: 1 },
  options: {
    wait: apply.options.wait,
    timeout: apply.options.timeout,
    yesRemoveMany: option(
      toggle.default(false),
      'confirm a large removal: without this, removing more than 30 % of a kind and more than 10 resources is refused',
    ),
    ...clientOptions,
  },
  async run(values, context) {
    requireWait(values.wait)
    const [zone = ''] = context.positionals
    const client = createClient(values)
    const reply = await client.need('POST', pathOf(zone, '_forget'), { declared: values.yesRemoveMany })
    requireFields(client, reply, ['rows', 'revision'])
    // The plane answers with this shape.
    const { rows, revision } = reply.json as { readonly rows: number; readonly revision: string }
    context.print(`zone ${zone}: ${rows} rows are removed`)
    context.print(`revision ${revision}`)
    if (values.wait === undefined) return 0
    return (await wait(client, context, revision, values.wait, values.timeout)) ? 0 : 1
  },
})
