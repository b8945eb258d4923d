import { displayNameLabel, namespaceLabel, originLabel, zoneLabel } from '@zonemesh/core/kinds/common.ts'
import type { Kind } from '@zonemesh/core/kinds/kind.ts'
import { globalOrigin, type Row } from '@zonemesh/shared/resource/resource.ts'

/** Longer names are cut before the hash. */
export const displayMax = 236
const alphabet = 'bcdfghjklmnpqrstvwxz2456789'

/** Kuma's hashed name of a row that came from another plane. */
export function hashedName(mesh: string, display: string, values: readonly string[]): string {
  let hash = 0xcbf29ce484222325n
  for (const byte of Buffer.from(mesh + display + values.join('')))
    hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n)
  const suffix = [...hash.toString(16).padStart(16, '0')]
    .map((digit) => alphabet[digit.charCodeAt(0) % alphabet.length])
    .join('')
  return `${display.slice(0, displayMax)}-${suffix}`
}

/** The name that a hashed one was made of; undefined if it is none. */
export const displayOf = (hashed: string): string | undefined =>
  new RegExp(`^(.+)-[${alphabet}]{16}$`).exec(hashed)?.[1]

/** The name under which an API shows a row: its own, or the hashed one if it belongs to another plane. */
export function shownName(kind: Kind, { key }: Pick<Row, 'key'>, ownOrigin: string): string {
  const { origin, mesh, name } = key
  if (origin === ownOrigin || kind.fixedName) return name
  return hashedName(mesh, name, origin === globalOrigin ? [] : [origin])
}

/** The labels of a row with those that a reader of another plane's row is given. */
export function shownLabels(kind: Kind, row: Row, ownOrigin: string): Record<string, string> {
  const { origin, name } = row.key
  if (origin === ownOrigin || kind.fixedName) return { ...row.labels }
  return {
    ...row.labels,
    [displayNameLabel]: name,
    [originLabel]: origin === globalOrigin ? 'global' : 'zone',
    ...(origin === globalOrigin ? {} : { [zoneLabel]: origin }),
  }
}

/** Kuma's resource identifier of a row with these labels; undefined for kinds without a short name. */
export function kri(kind: Kind, { key }: Row, labels: Readonly<Record<string, string>>): string | undefined {
  if (kind.shortName === '') return undefined
  const name = labels[displayNameLabel] ?? key.name
  return `kri_${kind.shortName}_${key.mesh}_${labels[zoneLabel] ?? ''}_${labels[namespaceLabel] ?? ''}_${name}_`
}
