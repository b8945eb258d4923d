import { findKind } from '@zonemesh/core/registry.ts'
import { parseKeyText } from '@zonemesh/shared/resource/resource.ts'
import type { Engine } from '../engine/engine.ts'

/** A row in a reason, by its key text: `MeshGateway default/edge`. A source that is no row stays as it is. */
function rowText(source: string): string {
  const { kind, mesh, name } = parseKeyText(source)
  return findKind(kind) ? `${kind} ${mesh === '' ? '' : `${mesh}/`}${name}` : source
}

/** Why the table of a proxy lacks parts, in one line; '' if it lacks none. */
export const problemText = (problems: ReturnType<Engine['problemsOf']>): string =>
  problems.map(({ source, reason }) => `${rowText(source)}: ${reason}`).join('; ')
