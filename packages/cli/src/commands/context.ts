import { resolve } from 'node:path'
import { option, text, toggle } from '@zonemesh/plane/config/options.ts'
import { clientOptions, createClient } from '../base/client.ts'
import { CommandError, defineCommand } from '../base/command.ts'
import {
  type Contexts,
  contextName,
  contextNameExpected,
  contextOf,
  contextsFile,
  type PlaneContext,
  readContexts,
  writeContexts,
} from '../base/contexts.ts'
import { tableOrJson } from '../base/output-form.ts'
import { findSceneHere } from '../base/running-scene.ts'
import { targetOf } from '../base/target.ts'
import { table } from '../output/table.ts'
import { jsonText } from '../output/terminal-text.ts'

const { context: _context, address: _address, ...credentials } = clientOptions

export const contextAdd = defineCommand({
  name: 'context add',
  summary:
    'store the address of a control plane and the credentials for it under a name, for --context and `context use`',
  usage: 'NAME --address URL [--token-file FILE] [--ca-cert-file FILE]',
  examples: [
    'zonemesh context add prod --address https://global.example:5682 --token-file ada.token --ca-cert-file ca.crt',
    'zonemesh context add laptop --address http://localhost:5681 --use',
  ],
  arity: { min: 1, max: 1 },
  options: {
    address: option(text, 'the API of the control plane', { placeholder: 'URL' }),
    ...credentials,
    use: option(toggle.default(false), 'make it the current context'),
    force: option(toggle.default(false), 'replace a context of this name'),
  },
  async run({ use, force, ...given }, { positionals: [name = ''], note }) {
    if (!contextName.test(name)) throw new CommandError(`${contextNameExpected}, found "${name}"`, 2)
    const context = storedForm(given)
    // Refuses an address that is no URL, and files that cannot be read.
    createClient({ adminKeyFile: undefined, caCertFile: undefined, token: undefined, tokenFile: undefined, ...context })
    const contexts = readContexts()
    if (Object.hasOwn(contexts.contexts, name) && !force)
      throw new CommandError(`context "${name}" exists already; replace it with --force, or choose another name`)
    await writeContexts({
      ...(use ? { ...contexts, current: name } : contexts),
      contexts: { ...contexts.contexts, [name]: context },
    })
    note(`context ${name} is stored in ${contextsFile()}`)
    note(use ? usedNote(name) : `use it with: zonemesh context use ${name}`)
    return 0
  },
})

interface Given {
  readonly address: string
  readonly token: string | undefined
  readonly tokenFile: string | undefined
  readonly adminKeyFile: string | undefined
  readonly caCertFile: string | undefined
}

/** Commands run in other folders later, so the paths of files become absolute. */
function storedForm({ address, token, tokenFile, adminKeyFile, caCertFile }: Given): PlaneContext {
  const kinds = [token, tokenFile, adminKeyFile].filter((one) => one !== undefined)
  if (kinds.length > 1) throw new CommandError('expected one of --token, --token-file and --admin-key-file', 2)
  return {
    address,
    ...(token === undefined ? {} : { token }),
    ...(tokenFile === undefined ? {} : { tokenFile: resolve(tokenFile) }),
    ...(adminKeyFile === undefined ? {} : { adminKeyFile: resolve(adminKeyFile) }),
    ...(caCertFile === undefined ? {} : { caCertFile: resolve(caCertFile) }),
  }
}

/** The scene of a folder comes before the current context, so that a scene works as its tutorial shows. */
const usedNote = (name: string): string =>
  findSceneHere()
    ? `commands use ${name}, except in folders with a running scene such as this one; here, give --context ${name}`
    : `commands use ${name}, except in folders with a running scene`

export const contextUse = defineCommand({
  name: 'context use',
  summary: 'choose the context of commands that name no control plane',
  usage: 'NAME',
  examples: ['zonemesh context use prod'],
  arity: { min: 1, max: 1 },
  options: {},
  async run(_, { positionals: [name = ''], note }) {
    const contexts = readContexts()
    contextOf(contexts, name, 'context use')
    await writeContexts({ ...contexts, current: name })
    note(usedNote(name))
    return 0
  },
})

export const contextRemove = defineCommand({
  name: 'context remove',
  summary: 'forget a context with its credentials',
  usage: 'NAME',
  examples: ['zonemesh context remove prod'],
  arity: { min: 1, max: 1 },
  options: {},
  async run(_, { positionals: [name = ''], note }) {
    const { current, contexts } = readContexts()
    contextOf({ contexts }, name, 'context remove')
    const { [name]: _removed, ...others } = contexts
    const isCurrent = current === name
    await writeContexts({ ...(current === undefined || isCurrent ? {} : { current }), contexts: others })
    note(`context ${name} is removed${isCurrent ? '; no context is current now' : ''}`)
    return 0
  },
})

export const contextList = defineCommand({
  name: 'context list',
  summary: 'show the stored contexts; the current one has a star',
  usage: '[-o table|json]',
  examples: ['zonemesh context list'],
  arity: { min: 0, max: 0 },
  options: { output: tableOrJson },
  async run({ output }, { print }) {
    const contexts = readContexts()
    const rows = Object.entries(contexts.contexts).map(([name, context]) => shownContext(contexts, name, context))
    if (output === 'json') {
      print(jsonText(rows))
      return 0
    }
    const cells = rows.map((one) => [
      one.current ? '*' : '',
      one.name,
      one.address,
      one.credentials,
      one.authority ?? '-',
    ])
    for (const line of table(['', 'NAME', 'ADDRESS', 'CREDENTIALS', 'AUTHORITY'], cells)) print(line.trimEnd())
    if (rows.length === 0) print('no contexts; add one with `zonemesh context add NAME --address URL`')
    return 0
  },
})

/** What users see of a context: never a token. */
const shownContext = ({ current }: Contexts, name: string, context: PlaneContext) => ({
  name,
  current: name === current,
  address: context.address,
  credentials: credentialsText(context),
  ...(context.caCertFile === undefined ? {} : { authority: context.caCertFile }),
})

interface Credentials {
  readonly token?: string | undefined
  readonly tokenFile?: string | undefined
  readonly adminKeyFile?: string | undefined
}

function credentialsText({ token, tokenFile, adminKeyFile }: Credentials): string {
  if (token !== undefined) return 'a token'
  if (tokenFile !== undefined) return `the token in ${tokenFile}`
  return adminKeyFile === undefined ? 'none' : `the admin key in ${adminKeyFile}`
}

export const contextShow = defineCommand({
  name: 'context show',
  summary: 'show which control plane commands in this folder use, and why',
  usage: '[-o table|json]',
  examples: ['zonemesh context show', 'zonemesh context show --context prod'],
  arity: { min: 0, max: 0 },
  options: { output: tableOrJson, ...clientOptions },
  async run({ output, ...values }, { print }) {
    const target = targetOf(values)
    const shown = {
      address: target.address,
      chosenBy: target.chosenBy ?? 'the address that is given',
      credentials: credentialsText(target),
      ...(target.caCertFile === undefined ? {} : { authority: target.caCertFile }),
    }
    if (output === 'json') print(jsonText(shown))
    else {
      print(`${shown.address} (${shown.chosenBy})`)
      print(`credentials: ${shown.credentials}`)
      if (shown.authority !== undefined) print(`authority: ${shown.authority}`)
    }
    return 0
  },
})
