import { z } from 'zod'

const unitsMs: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  y: 31_536_000_000,
}

/** `60s`, `300ms`, `2m` in milliseconds. */
export function readDuration(text: string): number | undefined {
  const found = /^(\d+(?:\.\d+)?)(ms|s|m|h|d|y)$/.exec(text)
  const unit = unitsMs[found?.[2] ?? '']
  return unit === undefined ? undefined : Number(found?.[1]) * unit
}

/** `4kb/s`, `500b/s`, `1mb/s` in bytes per second. */
export function readRate(text: string): number | undefined {
  const found = /^(\d+(?:\.\d+)?)(b|kb|mb)\/s$/i.exec(text)
  const unit = { b: 1, kb: 1_024, mb: 1_048_576 }[found?.[2]?.toLowerCase() ?? '']
  return unit === undefined ? undefined : Number(found?.[1]) * unit
}

/** An option or positional argument that is a time. */
export const duration = z.string().transform((text, context) => {
  const ms = readDuration(text)
  if (ms !== undefined && ms > 0) return ms
  context.addIssue({ code: 'custom', message: 'expected a time such as 60s, 500ms or 2m' })
  return z.NEVER
})
