import { readFileSync } from 'node:fs'
import { isUnknownKey, type Tokens } from '@zonemesh/plane/tokens/tokens.ts'
import { decodeJoin, type Join } from '@zonemesh/shared/auth/join.ts'
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
  /** What the file held when the zone was started. */
  readonly first: Join
}

const lookEveryMs = 2_000

/** The zone that a join token names. The global checks the token; a zone only has to know what it is called. */
export function zoneNameOf(token: string): string {
  try {
    const claims: unknown = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8'))
    const name: unknown = claims !== null && typeof claims === 'object' ? Reflect.get(claims, 'Zone') : undefined
    if (typeof name === 'string' && name !== '') return name
  } catch {
    // Falls through to the one sentence for every kind of bad token.
  }
  throw new Error('the token in the join string names no zone; make one with `zonemesh token zone NAME`')
}

/**
 * The join string of a zone, which may be replaced while the zone runs: whoever writes another one into the file rotates the token.
 * One that is no good is told of and left alone; the session goes on with what it had. `renewed` is called when a better one counts.
 */
export function followJoinFile({ clock, log, tokens }: Deps, { path, zone, first }: Options, renewed: () => void) {
  let current = first
  let seen = ''
  /** Why the file could not be used, said once. */
  let told = ''
  let closed = false
  const looking = repeat(clock, lookEveryMs, look)

  async function look(): Promise<void> {
    try {
      const text = readFileSync(path, 'utf8')
      if (text === seen) return
      seen = text
      told = ''
      const join = decodeJoin(text)
      if (!join.ok) throw new Error(join.error)
      await take(join.value)
    } catch (thrown) {
      const reason = messageOf(thrown)
      if (reason === told) return
      told = reason
      log.warn({ file: path }, `the join file cannot be used, the former join string still counts: ${reason}`)
    }
  }

  async function take(next: Join): Promise<void> {
    const { address, token, pin } = next
    if (token === current.token && address === current.address && pin === current.pin) return
    const named = zoneNameOf(token)
    if (named !== zone) throw new Error(`expected a token of zone "${zone}", found one of zone "${named}"`)
    const judged = await tokens.verify('zone', '', token)
    // A key that is not known here may be that of a global which this zone has not heard yet: that one judges.
    if (!judged.ok && !isUnknownKey(judged.error)) throw new Error(judged.error)
    if (closed) return
    current = next
    log.info({ file: path, address }, 'the join file holds a new join string: it counts from now on')
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
