import { option, text } from '@zonemesh/plane/config/options.ts'
import { messageOf } from '@zonemesh/shared/base/base.ts'
import { resolve as ask } from '@zonemesh/shared/dns/resolve.ts'
import { CommandError, defineCommand } from '../base/command.ts'

export const resolve = defineCommand({
  name: 'resolve',
  summary: 'look up the addresses of a name at a resolver',
  usage: 'NAME [--at HOST:PORT]',
  examples: [
    'zonemesh resolve echo.demo.svc.8080.mesh',
    'zonemesh resolve echo.demo.svc.8080.mesh --at 127.0.0.1:5653',
  ],
  arity: { min: 1, max: 1 },
  options: {
    at: option(text.default('127.0.0.1:5653'), 'the resolver: of a zone, or beside a proxy', {
      placeholder: 'HOST:PORT',
      shownDefault: '127.0.0.1:5653',
    }),
  },
  async run(values, { positionals, print, signal }) {
    const [name = ''] = positionals
    const [host = '', port = '53'] = values.at.split(':')
    if (host === '' || !/^\d+$/.test(port) || Number(port) > 65_535)
      throw new CommandError(`--at: expected HOST:PORT, found "${values.at}"`, 2)
    const answer = await ask(name.replace(/\.$/, ''), { host, port: Number(port) }, signal).catch((thrown: unknown) => {
      throw new CommandError(`${values.at} does not answer: ${messageOf(thrown)}`)
    })
    if (answer.addresses.length === 0)
      throw new CommandError(
        `${name}: ${answer.rcode === 3 ? 'no such name (NXDOMAIN)' : answer.rcode === 0 ? 'the name exists but has no address (NODATA)' : `error ${answer.rcode}`}`,
      )
    for (const address of answer.addresses) print(address)
    return 0
  },
})
