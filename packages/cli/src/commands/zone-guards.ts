import { option, text, toggle } from '@zonemesh/plane/config/options.ts'
import type { Hold } from '@zonemesh/shared/sync/log/messages.ts'
import { clientOptions, createClient } from '../base/client.ts'
import { defineCommand } from '../base/command.ts'
import { apply, requireWait, wait } from './apply.ts'

const pathOf = (zone: string, action: string): string => `/zones/${encodeURIComponent(zone)}/${action}`

export const zoneRelease = defineCommand({
  name: 'zone release',
  summary:
    'let through what a zone holds back: a mass removal, another history of the global, another global, or the removal of proxies that were lost at once',
  usage: 'NAME [--hold ID]',
  examples: ['zonemesh zone release east', 'zonemesh zone release east --address http://east.example:5681'],
  arity: { min: 1, max: 1 },
  options: {
    hold: option(text.optional(), 'only this one, as `zonemesh status` names it; nothing happens if it is another', {
      placeholder: 'ID',
    }),
    ...clientOptions,
  },
  async run(values, { positionals, print }) {
    const [zone = ''] = positionals
    const body = values.hold === undefined ? {} : { hold: values.hold }
    const reply = await createClient(values).need('POST', pathOf(zone, '_release'), body)
    // The plane answers with this shape.
    const { hold } = reply.json as { readonly hold: Hold }
    const what = `${hold.reason} (${hold.id})`
    print(reply.status === 202 ? `zone ${zone} is asked to let through: ${what}` : `zone ${zone} lets through: ${what}`)
    return 0
  },
})

export const zoneKeep = defineCommand({
  name: 'zone keep',
  summary: 'keep what remains of a zone whose store was lost; without this it goes after five minutes',
  usage: 'NAME',
  examples: ['zonemesh zone keep east'],
  arity: { min: 1, max: 1 },
  options: clientOptions,
  async run(values, { positionals, print }) {
    const [zone = ''] = positionals
    await createClient(values).need('POST', pathOf(zone, '_keep'))
    print(`what remains of the former store of zone ${zone} stays`)
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
      'it is meant to be that much: without this, more than 30 % of a kind and more than 10 are refused',
    ),
    ...clientOptions,
  },
  async run(values, context) {
    requireWait(values.wait)
    const [zone = ''] = context.positionals
    const client = createClient(values)
    const reply = await client.need('POST', pathOf(zone, '_forget'), { declared: values.yesRemoveMany })
    // The plane answers with this shape.
    const { rows, revision } = reply.json as { readonly rows: number; readonly revision: string }
    context.print(`zone ${zone}: ${rows} rows are removed`)
    context.print(`revision ${revision}`)
    if (values.wait === undefined) return 0
    return (await wait(client, context, revision, values.wait, values.timeout)) ? 0 : 1
  },
})
