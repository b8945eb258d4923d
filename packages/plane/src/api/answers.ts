import type { Json, JsonObject } from '@zonemesh/shared/base/base.ts'
import { z } from 'zod'

/** A field of a document that is refused, and why. */
export const violation = z
  .object({ field: z.string(), reason: z.string(), choices: z.array(z.string()).readonly().exactOptional() })
  .readonly()

// What an answer contains came from JSON.
const json = z.unknown() as z.ZodType<Json>
const jsonObject = z.looseObject({}) as unknown as z.ZodType<JsonObject>
const fieldChange = z
  .object({ field: z.string(), before: json.exactOptional(), after: json.exactOptional() })
  .readonly()

/** The outcome of one document, or of one deletion, whose indexes follow those of the documents. */
export const outcome = z
  .object({
    index: z.number(),
    type: z.string(),
    mesh: z.string().exactOptional(),
    name: z.string(),
    outcome: z.enum(['created', 'updated', 'unchanged', 'deleted', 'refused', 'skipped']),
    detail: z.string().exactOptional(),
    violations: z.array(violation).readonly().exactOptional(),
    warnings: z.array(z.string()).readonly().exactOptional(),
    /** In a dry run: the resource as it is and as it would be, and the fields that differ. */
    before: jsonObject.exactOptional(),
    after: jsonObject.exactOptional(),
    fields: z.array(fieldChange).readonly().exactOptional(),
  })
  .readonly()
export type Outcome = z.infer<typeof outcome>

export const commitAnswer = z.object({
  revision: z.string(),
  /** Only in a dry run. */
  dryRun: z.boolean().exactOptional(),
  massRemovals: z.array(z.looseObject({})).exactOptional(),
  outcomes: z.array(outcome),
})

/** The progress of a write in one zone. */
export const zoneReceipt = z
  .object({
    zone: z.string(),
    /** A zone that is offline or was never started is listed, and not awaited. */
    state: z.enum(['reached', 'pending', 'refused', 'offline', 'not-started']),
    /** From the commit to the report of the zone, by the monotonic clock of this plane. */
    delayMs: z.number().exactOptional(),
    reason: z.string().exactOptional(),
  })
  .readonly()
export type ZoneReceipt = z.infer<typeof zoneReceipt>

export const receipt = z
  .object({
    revision: z.string(),
    level: z.enum(['stored', 'served']),
    complete: z.boolean(),
    zones: z.array(zoneReceipt).readonly(),
  })
  .readonly()
export type Receipt = z.infer<typeof receipt>
