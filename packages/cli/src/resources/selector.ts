import type { Kind } from '@zonemesh/core/kinds/kind.ts'
import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import { CommandError } from '../base/command.ts'
import { specIn } from './shown-item.ts'

/** Labels that a resource must have, by their keys. */
export type Selector = ReadonlyMap<string, string>

/** Parses `key=value[,key=value]`. Throws a usage error that names the option. */
export function readSelector(text: string | undefined, flag = '--selector'): Selector {
  const pairs = text === undefined ? [] : text.split(',')
  return new Map(
    pairs.map((pair) => {
      const [, key = '', value = ''] = /^([^=!]+)==?([^=]*)$/.exec(pair.trim()) ?? []
      if (key === '') throw new CommandError(`${flag}: expected KEY=VALUE[,KEY=VALUE], found "${text}"`, 2)
      return [key, value]
    }),
  )
}

/**
 * Whether a resource has all labels of a selector. As in Kuma, a pair may also be a tag of a Dataplane: then one of
 * its inbounds, or its gateway, has all pairs that are no labels.
 */
export function isSelected(kind: Kind, item: JsonObject, selector: Selector): boolean {
  const labels: Record<string, unknown> = Object(item['labels'])
  const others = [...selector].filter(([key, value]) => labels[key] !== value)
  if (others.length === 0) return true
  return (
    kind.name === 'Dataplane' && tagSets(item, kind).some((tags) => others.every(([key, value]) => tags[key] === value))
  )
}

function tagSets(item: JsonObject, kind: Kind): readonly Record<string, unknown>[] {
  const networking: Record<string, unknown> = Object(specIn(kind, item)['networking'])
  const { inbound, gateway } = networking
  const all: readonly unknown[] = [...(Array.isArray(inbound) ? inbound : []), gateway]
  return all.map((one) => Object(Object(one)['tags']))
}
