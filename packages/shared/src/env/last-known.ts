import type { Clock } from './clock.ts'

/** A value of a source, and since when the source has not answered. */
export interface Known<Value> {
  readonly value: Value
  /** The wall clock of the last answer, in milliseconds; undefined if this is the answer of now. */
  readonly silentSinceMs: number | undefined
}

/**
 * Asks a source, and returns its last answer for the same key if it fails or does not answer within `waitMs`. So a plane
 * that has lost its database still reports what it knows, with the time since when. Without a last answer, the caller
 * waits. While a source is silent, it is not asked again. At most `keysMax` answers are kept.
 */
export function createLastKnown<Value>(
  clock: Pick<Clock, 'after' | 'wallMs'>,
  { waitMs, keysMax }: { readonly waitMs: number; readonly keysMax: number },
) {
  const lastByKey = new Map<string, { readonly value: Value; readonly atMs: number }>()
  /** The keys of questions that wait for longer. One of them is enough to know that the source is silent. */
  const late = new Set<string>()

  async function ask(key: string, read: () => Promise<Value>): Promise<Value> {
    const value = await read()
    lastByKey.delete(key)
    lastByKey.set(key, { value, atMs: clock.wallMs() })
    const [oldest] = lastByKey.keys()
    if (oldest !== undefined && lastByKey.size > keysMax) lastByKey.delete(oldest)
    return value
  }

  return async (key: string, read: () => Promise<Value>): Promise<Known<Value>> => {
    const found = lastByKey.get(key)
    const last = found && { value: found.value, silentSinceMs: found.atMs }
    if (last && late.size > 0) return last
    const asked = ask(key, read)
    const answer = asked.then((value) => ({ value, silentSinceMs: undefined }))
    const over = Promise.withResolvers<undefined>()
    using _timer = clock.after(waitMs, () => over.resolve(undefined))
    const first = await Promise.race([answer, over.promise]).catch((thrown: unknown) => {
      if (last) return last
      throw thrown
    })
    if (first) return first
    late.add(key)
    void asked.catch(() => undefined).finally(() => late.delete(key))
    return last ?? answer
  }
}
