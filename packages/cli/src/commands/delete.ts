import { option, text } from '@zonemesh/plane/config/options.ts'
import { clientOptions, createClient, errorLines } from '../client.ts'
import { CommandError, defineCommand } from '../command.ts'
import { kindByWord, pathOf } from '../kinds.ts'

export const remove = defineCommand({
  name: 'delete',
  summary: 'delete one resource',
  usage: 'KIND NAME [--mesh MESH]',
  examples: ['zonemesh delete meshgatewayroute edge-route'],
  arity: { min: 2, max: 2 },
  options: {
    mesh: option(text.default('default'), 'the mesh of mesh-scoped kinds', {
      placeholder: 'MESH',
      short: 'm',
      shownDefault: 'default',
    }),
    ...clientOptions,
  },
  async run(values, { positionals, print }) {
    const [word = '', name = ''] = positionals
    const kind = kindByWord(word)
    const reply = await createClient(values).call('DELETE', pathOf(kind, values.mesh, name))
    if (reply.status === 404)
      throw new CommandError(`no ${kind.name} "${name}"${kind.scope === 'mesh' ? ` in mesh "${values.mesh}"` : ''}`)
    if (reply.status >= 400) throw new CommandError(errorLines(reply))
    print(`${kind.name} ${kind.scope === 'mesh' ? `${values.mesh}/` : ''}${name}: deleted`)
    print(`revision ${String(reply.headers['zonemesh-revision'])}`)
    return 0
  },
})
