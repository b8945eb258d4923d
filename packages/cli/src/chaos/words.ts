/** `4kb/s`, `500b/s`, `1mb/s` in bytes per second. */
export function readRate(text: string): number | undefined {
  const found = /^(\d+(?:\.\d+)?)(b|kb|mb)\/s$/i.exec(text)
  const unit = { b: 1, kb: 1_024, mb: 1_048_576 }[found?.[2]?.toLowerCase() ?? '']
  return unit === undefined ? undefined : Number(found?.[1]) * unit
}
