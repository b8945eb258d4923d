import { oneLine } from './terminal-text.ts'

/** Rows below a line of titles. */
export const table = (titles: readonly string[], rows: readonly (readonly string[])[]): string[] =>
  columns([titles, ...rows])

/** Rows as lines, each column as wide as its widest cell. The last cell of a row is not padded. */
export function columns(rows: readonly (readonly string[])[]): string[] {
  const widths = widthsOf(rows)
  return rows.map((row) => lineOf(row, widths))
}

/** The width of each column, with two spaces between columns. */
export function widthsOf(rows: readonly (readonly string[])[]): readonly number[] {
  const widths: number[] = []
  for (const row of rows) {
    for (const [column, cell] of row.map(oneLine).slice(0, -1).entries())
      widths[column] = Math.max(widths[column] ?? 0, cell.length + 2)
  }
  return widths
}

/** One row with columns of these widths. A longer cell moves those behind it, and stays apart from the next one. */
export const lineOf = (row: readonly string[], widths: readonly number[]): string =>
  row
    .map(oneLine)
    .map((cell, column) =>
      column === row.length - 1 ? cell : cell.padEnd(Math.max(widths[column] ?? 0, cell.length + 2)),
    )
    .join('')

/** The time since a moment, as text: `3m`, `2h`. */
export function age(fromIso: string, nowMs: number): string {
  const seconds = Math.max(0, Math.round((nowMs - Date.parse(fromIso)) / 1000))
  if (seconds < 120) return `${seconds}s`
  if (seconds < 7200) return `${Math.floor(seconds / 60)}m`
  return seconds < 172_800 ? `${Math.floor(seconds / 3600)}h` : `${Math.floor(seconds / 86_400)}d`
}
