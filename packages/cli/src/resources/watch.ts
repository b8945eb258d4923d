import type { Kind } from '@zonemesh/core/kinds/kind.ts'
import type { Client } from '../base/client.ts'
import { CommandError } from '../base/command.ts'
import { type Message, readMessages } from '../base/events.ts'
import { findOverview, listOverviews, type Overview, type Scope } from './items.ts'
import { pathOf } from './kinds.ts'
import { isSelected } from './selector.ts'

/** A resource, and what happened to it. `present`: it was there when the watch began. */
export interface Seen {
  readonly change: 'present' | 'added' | 'changed' | 'deleted'
  readonly overview: Overview
}

/**
 * The resources of a kind, then each change, until the signal aborts. First a stream of events is opened, then the list
 * is read, so no change is missed. If the plane ends the stream with `resync`, the list is read again and only its
 * differences are yielded. Throws a CommandError if the plane stops or the connection is lost.
 */
export async function* watch(
  client: Client,
  kind: Kind,
  scope: Scope,
  signal: AbortSignal,
): AsyncGenerator<readonly Seen[]> {
  const known = new Map<string, Overview>()
  let isFirst = true
  while (!signal.aborted) {
    const ending = yield* watchOnce(client, kind, scope, { known, isFirst, signal })
    if (signal.aborted) return
    if (ending?.event !== 'resync')
      throw new CommandError(
        `${client.address} ended the stream of events: ${ending?.data.reason ?? 'the connection is closed'}; start the command again`,
      )
    isFirst = false
  }
}

interface Known {
  /** By mesh and name: what the caller has seen. */
  readonly known: Map<string, Overview>
  readonly isFirst: boolean
  readonly signal: AbortSignal
}

type Ending = Extract<Message, { event: 'resync' | 'end' }> | undefined

async function* watchOnce(
  client: Client,
  kind: Kind,
  scope: Scope,
  { known, isFirst, signal }: Known,
): AsyncGenerator<readonly Seen[], Ending> {
  const query = new URLSearchParams({
    kinds: kind.name,
    ...(kind.scope === 'mesh' && scope.mesh !== undefined ? { mesh: scope.mesh } : {}),
  })
  for await (const message of readMessages(client, `/_events?${query}`, signal)) {
    switch (message.event) {
      case 'start': {
        const listed = await listOverviews(client, kind, scope)
        const differences = differencesOf(known, listed)
        yield isFirst ? differences.map(({ overview }): Seen => ({ change: 'present', overview })) : differences
        break
      }
      case 'resync':
      case 'end':
        return message
      case 'added':
      case 'changed':
      case 'deleted': {
        const { mesh, name } = message.data
        const found =
          message.event === 'deleted' ? undefined : await findOverview(client, kind, pathOf(kind, mesh, name))
        const seen = seenOf(
          known,
          `${mesh}/${name}`,
          found && isSelected(kind, found.item, scope.selector) ? found : undefined,
        )
        if (seen) yield [seen]
      }
    }
  }
  return undefined
}

const keyOf = ({ item }: Overview): string => `${String(item['mesh'] ?? '')}/${String(item['name'])}`

/** How a list differs from what is known, which it then replaces. */
function differencesOf(known: Map<string, Overview>, listed: readonly Overview[]): Seen[] {
  const present = new Set(listed.map(keyOf))
  const gone = [...known.keys()].filter((key) => !present.has(key))
  return [
    ...listed.flatMap((one) => seenOf(known, keyOf(one), one) ?? []),
    ...gone.flatMap((key) => seenOf(known, key, undefined) ?? []),
  ]
}

/** What happened to one resource since it was seen; undefined if nothing did. The list may have shown it before. */
function seenOf(known: Map<string, Overview>, key: string, now: Overview | undefined): Seen | undefined {
  const former = known.get(key)
  if (!now) {
    known.delete(key)
    return former && { change: 'deleted', overview: former }
  }
  known.set(key, now)
  if (!former) return { change: 'added', overview: now }
  return JSON.stringify(former.item) === JSON.stringify(now.item) ? undefined : { change: 'changed', overview: now }
}
