import { existsSync } from 'node:fs'
import { decodeJoin, type Join, joinPrefix } from '@zonemesh/shared/auth/join.ts'
import { readText } from './client.ts'
import { CommandError } from './command.ts'

interface Given {
  /** The value of `--join`: a join string, or a file that holds one. */
  readonly join: string | undefined
  readonly joinFile: string | undefined
}

export interface JoinGiven {
  readonly join: Join
  /** The file that holds the join string, if it was not given itself. */
  readonly file: string | undefined
}

/** A longer value is a damaged join string rather than a path. It contains a token, so no message repeats it. */
const pathLengthShown = 200

/** Reads the join string from `--join STRING`, `--join FILE` or `--join-file FILE`. Undefined if none is given. */
export function readJoin({ join, joinFile }: Given): JoinGiven | undefined {
  if (join === undefined) return joinFile === undefined ? undefined : fromFile(joinFile)
  if (join.trim().startsWith(joinPrefix)) return { join: decoded(join, ''), file: undefined }
  if (existsSync(join)) return fromFile(join)
  const found = join.length <= pathLengthShown ? `"${join}"` : `${join.length} characters`
  throw new CommandError(
    `--join: expected a join string, which begins with ${joinPrefix}, or a file that holds one, found ${found}`,
    2,
  )
}

const fromFile = (file: string): JoinGiven => ({ join: decoded(readText(file), `${file}: `), file })

function decoded(text: string, where: string): Join {
  if (/^eyJ[\w-]*\.[\w-]+\.[\w-]+$/.test(text.trim()))
    throw new CommandError(
      `${where}expected a join string, which begins with ${joinPrefix}, found a bare token; \`zonemesh token\` without --raw makes a join string for a zone, and with --join one for a proxy`,
      2,
    )
  const join = decodeJoin(text)
  if (!join.ok) throw new CommandError(`${where}the join string is not valid: ${join.error}`, 2)
  return join.value
}
