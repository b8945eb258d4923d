import { variableName } from '@zonemesh/plane/config/options.ts'
import { CommandError } from './command.ts'
import { contextOf, contextsFile, type PlaneContext, readContexts } from './contexts.ts'
import { findSceneHere } from './running-scene.ts'

export const defaultAddress = 'http://localhost:5681'

/** The options that name a control plane and the credentials for it. */
export interface TargetValues {
  readonly address: string | undefined
  readonly context?: string | undefined
  readonly token: string | undefined
  readonly tokenFile: string | undefined
  readonly adminKeyFile?: string | undefined
  readonly caCertFile: string | undefined
}

/** The control plane that a command calls, and how it authenticates there. */
export interface Target {
  readonly address: string
  /** What chose the address: `context prod`. Undefined if the user named the address. */
  readonly chosenBy: string | undefined
  readonly token: string | undefined
  readonly tokenFile: string | undefined
  readonly adminKeyFile: string | undefined
  readonly caCertFile: string | undefined
}

/**
 * Chooses the control plane: `--address`, `--context`, ZONEMESH_ADDRESS, ZONEMESH_CONTEXT, the scene that runs in this
 * folder, the current context, and last the usual address. Credentials of a context go only to its own address. Throws
 * a CommandError if both flags are given, or if the context does not exist.
 */
export function targetOf(values: TargetValues, environment: NodeJS.ProcessEnv = process.env): Target {
  const { address, context } = values
  const isFlag = (name: 'address' | 'context') => values[name] !== environment[variableName(name)]
  if (address !== undefined && context !== undefined && isFlag('address') && isFlag('context'))
    throw new CommandError(`expected --address or --context, found both (${address} and ${context})`, 2)
  if (context !== undefined && (address === undefined || (isFlag('context') && !isFlag('address'))))
    return ofContext(
      contextOf(readContexts(), context, isFlag('context') ? '--context' : variableName('context')),
      context,
      values,
    )
  if (address !== undefined) return at(address, undefined, values)
  const scene = findSceneHere()
  if (scene) return at(scene.globalAddress, 'the scene that runs in this folder', values)
  const contexts = readContexts()
  if (contexts.current !== undefined)
    return ofContext(contextOf(contexts, contexts.current, `current in ${contextsFile()}`), contexts.current, values)
  return at(defaultAddress, 'the default address', values)
}

const at = (address: string, chosenBy: string | undefined, values: TargetValues): Target => ({
  address,
  chosenBy,
  token: values.token,
  tokenFile: values.tokenFile,
  adminKeyFile: values.adminKeyFile,
  caCertFile: values.caCertFile,
})

/** Options override the credentials of a context. One that is given replaces all of the context. */
function ofContext(context: PlaneContext, name: string, values: TargetValues): Target {
  const isGiven = [values.token, values.tokenFile, values.adminKeyFile].some((one) => one !== undefined)
  const { token, tokenFile, adminKeyFile } = isGiven ? values : context
  const caCertFile = values.caCertFile ?? context.caCertFile
  return { address: context.address, chosenBy: `context ${name}`, token, tokenFile, adminKeyFile, caCertFile }
}
