import type { Kind } from '@zonemesh/core/kinds/kind.ts'
import { z } from 'zod'

/** The content of a body or an answer: JSON of a schema, a resource of a kind, one page of a list, a text, or a stream of events. */
export type Shape =
  | { readonly type: 'schema'; readonly schema: z.ZodType }
  | { readonly type: 'resource'; readonly kind: Kind }
  | { readonly type: 'page'; readonly kind?: Kind }
  | { readonly type: 'text' }
  | { readonly type: 'events' }

export const schemaShape = (schema: z.ZodType): Shape => ({ type: 'schema', schema })
/** An object whose fields are left open. */
export const objectShape: Shape = schemaShape(z.looseObject({}))
