import { list, option, text } from '@zonemesh/plane/config/options.ts'
import { planeOptions } from '@zonemesh/plane/config/plane-options.ts'
import { byCodeUnit } from '@zonemesh/shared/base/base.ts'
import type { Row } from '@zonemesh/shared/resource/resource.ts'
import type { Position } from '@zonemesh/shared/store/store.ts'
import { type Client, clientOptions, createClient, requireFields } from '../base/client.ts'
import { CommandError, defineCommand } from '../base/command.ts'
import { createEnv } from '../base/process.ts'
import { table } from '../output/table.ts'

const { dataDir: _given, historyRevisions, store, logLevel } = planeOptions
const { address: _address, context: _context, ...credentials } = clientOptions

/** The response of `GET /_rows`. */
interface Page {
  readonly zone: string
  readonly at: number
  readonly position: Position | null
  readonly rows: readonly Row[]
  readonly after?: string
}

async function copyOf(client: Client) {
  const rows: Row[] = []
  let path = '/_rows'
  for (;;) {
    const reply = await client.need('GET', path)
    requireFields(client, reply, ['zone', 'at', 'rows'])
    // The plane answers with its own type.
    const page = reply.json as Page
    const { zone, at, position, after } = page
    rows.push(...page.rows)
    if (!position) throw new CommandError(`zone ${zone} at ${client.address} holds nothing of a global`)
    if (after === undefined) return { zone, position, rows }
    path = `/_rows?at=${at}&after=${encodeURIComponent(after)}`
  }
}

/** A table of the number of rows by kind and source. */
function counted(rows: readonly { readonly kind: string; readonly from: string }[]): string[] {
  const counts = new Map<string, number>()
  for (const { kind, from } of rows) counts.set(`${kind} ${from}`, (counts.get(`${kind} ${from}`) ?? 0) + 1)
  const cells = [...counts]
    .sort(([a], [b]) => byCodeUnit(a, b))
    .map(([key, count]) => [key.split(' ')[0] ?? '', String(count), key.slice(key.indexOf(' ') + 1)])
  return table(['KIND', 'ROWS', 'FROM'], cells)
}

export const globalRecover = defineCommand({
  name: 'global recover',
  summary: 'rebuild a global that is lost for good, from what zones hold and a copy of its recovery.keys',
  usage: '--from URL[,URL] --keys FILE --data-dir DIR',
  examples: ['zonemesh global recover --from http://localhost:5681 --keys recovery.keys --data-dir ./global'],
  arity: { min: 0, max: 0 },
  options: {
    from: option(list.default([]), 'the APIs of zones that were joined to it; the one that is furthest counts', {
      placeholder: 'URL',
      repeated: true,
    }),
    keys: option(text.optional(), 'a copy of the recovery.keys of the lost global', { placeholder: 'FILE' }),
    dataDir: option(text.optional(), 'folder of the new global; it must be empty', { placeholder: 'DIR' }),
    store,
    historyRevisions,
    ...credentials,
    logLevel,
  },
  async run(values, { print, note }) {
    const { from, keys: keysPath, dataDir } = values
    if (from.length === 0 || keysPath === undefined || dataDir === undefined)
      throw new CommandError('give --from, --keys and --data-dir', 2)
    // Loaded only now: help and wrong use do not wait for it.
    const { readKeysFile } = await import('@zonemesh/global/recovery/keys-file.ts')
    const { recoverGlobal } = await import('@zonemesh/global/recovery/recover.ts')
    const keys = readKeysFile(keysPath)
    if (!keys.ok) throw new CommandError(keys.error)
    const [first, ...others] = await Promise.all(from.map((address) => copyOf(createClient({ ...values, address }))))
    if (!first) throw new CommandError('give --from', 2)
    const env = createEnv(values.logLevel, 'recover')
    const config = { dataDir, store: values.store, historyRevisions: values.historyRevisions }
    const done = await recoverGlobal(env, config, keys.value, [first, ...others])
    const { rows, kept, leftOut, newest } = done
    for (const line of counted([
      ...rows.map(({ row, zone }) => ({ kind: row.key.kind, from: `zone ${zone}` })),
      ...kept.map(({ key }) => ({ kind: key.kind, from: 'the keys file' })),
    ]))
      print(line)
    print(
      `zone ${newest.zone} was furthest, at revision ${newest.position.revision} of the lost store ${newest.position.store}`,
    )
    if (leftOut.length > 0)
      print(`left out: ${leftOut.length} rows that a zone behind still has and zone ${newest.zone} no longer had`)
    for (const one of done.missing) print(`missing: ${one}`)
    note(
      `now start it: zonemesh global --data-dir ${dataDir}; zones hold its changes until each is released: zonemesh zone release NAME`,
    )
    return 0
  },
})
