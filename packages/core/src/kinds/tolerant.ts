import { z } from 'zod'

/**
 * A schema that drops unknown fields at every depth instead of rejecting them. Rows of newer planes have such fields.
 * All other rules stay as strict as before.
 */
export function tolerant<Schema extends z.ZodType>(schema: Schema): Schema {
  // Every branch returns the schema itself or a copy that differs only in nested schemas and unknown fields.
  return relaxed(schema) as Schema
}

function relaxed(schema: z.core.$ZodType): z.core.$ZodType {
  if (schema instanceof z.ZodObject) {
    const shape = Object.fromEntries(
      Object.entries(schema.def.shape as Record<string, z.core.$ZodType>).map(([key, one]) => [key, relaxed(one)]),
    )
    const { catchall: _refusesUnknown, ...def } = schema.def
    return schema.clone({ ...def, shape })
  }
  if (schema instanceof z.ZodArray) return schema.clone({ ...schema.def, element: relaxed(schema.def.element) })
  if (schema instanceof z.ZodRecord) return schema.clone({ ...schema.def, valueType: relaxed(schema.def.valueType) })
  if (schema instanceof z.ZodOptional) return schema.clone({ ...schema.def, innerType: relaxed(schema.def.innerType) })
  if (schema instanceof z.ZodDefault) return schema.clone({ ...schema.def, innerType: relaxed(schema.def.innerType) })
  if (schema instanceof z.ZodPipe)
    return schema.clone({ ...schema.def, in: relaxed(schema.def.in), out: relaxed(schema.def.out) })
  // A tolerant branch drops unknown fields, so it could accept input for a later branch. Therefore strict branches come
  // first.
  if (schema instanceof z.ZodUnion)
    return schema.clone({ ...schema.def, options: [...schema.def.options, ...schema.def.options.map(relaxed)] })
  return schema
}
