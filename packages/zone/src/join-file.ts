import { readFileSync } from 'node:fs'
import { isUnknownKey, type Tokens } from '@zonemesh/plane/tokens/tokens.ts'
import { addressesOf, decodeJoin, encodeJoin, type Join } from '@zonemesh/shared/auth/join.ts'
import { messageOf } from '@zonemesh/shared/base/base.ts'
import { type Clock, repeat } from '@zonemesh/shared/env/clock.ts'
import type { Log } from '@zonemesh/shared/env/log.ts'

interface Deps {
  readonly clock: Clock
  readonly log: Log
  readonly tokens: Pick<Tokens, 'verify'>
}

interface Options {
  readonly path: string
  readonly zone: string
  /** The join string in the file at the start of the zone. */
  readonly first: Join
}

const lookEveryMs = 2_000

/** Reads the zone's name from a join token, unverified: the global verifies the token. Throws if there is no name. */
export function zoneNameOf(token: string): string {
  try {
    const claims: unknown = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8'))
    const name: unknown = claims !== null && typeof claims === 'object' ? Reflect.get(claims, 'Zone') : undefined
    if (typeof name === 'string' && name !== '') return name
  } catch {
    // Every kind of bad token gets the same message, below.
  }
  throw new Error('the token in the join string names no zone; make a new join string with `zonemesh token zone NAME`')
}

/**
 * Follows the join string of a zone in its file, so that an operator can rotate the token while the zone runs. A join
 * string that cannot be used is logged and ignored: the session continues with the former one. Calls `renewed` after it
 * has taken a new one.
 */
export function followJoinFile({ clock, log, tokens }: Deps, { path, zone, first }: Options, renewed: () => void) {
  let current = first
  let seen = ''
  /** The last logged reason, so that the same one is logged only once. */
  let loggedReason = ''
  let closed = false
  const looking = repeat(clock, lookEveryMs, look)

  async function look(): Promise<void> {
    try {
      const text = readFileSync(path, 'utf8')
      if (text === seen) return
      seen = text
      loggedReason = ''
      const join = decodeJoin(text)
      if (!join.ok) throw new Error(join.error)
      await take(join.value)
    } catch (thrown) {
      const reason = messageOf(thrown)
      if (reason === loggedReason) return
      loggedReason = reason
      log.warn({ file: path }, `the join file cannot be used, the former one stays in use: ${reason}`)
    }
  }

  async function take(next: Join): Promise<void> {
    const { token } = next
    if (encodeJoin(next) === encodeJoin(current)) return
    const named = zoneNameOf(token)
    if (named !== zone) throw new Error(`expected a token of zone "${zone}", found one of zone "${named}"`)
    const judged = await tokens.verify('zone', '', token)
    // The key may belong to a global that has not synced with this zone yet. That global verifies the token.
    if (!judged.ok && !isUnknownKey(judged.error)) throw new Error(judged.error)
    if (closed) return
    current = next
    log.info(
      { file: path, address: addressesOf(next).join(', ') },
      'the zone uses the new join string of the join file from now on',
    )
    renewed()
  }

  return {
    current: (): Join => current,
    close(): void {
      closed = true
      looking[Symbol.dispose]()
    },
  }
}
export type JoinFile = ReturnType<typeof followJoinFile>
