import { painted } from '../output/colour.ts'
import { columns } from '../output/table.ts'
import { isFailed, type Line, type LiveState, type Request, windowMs } from './state.ts'

const clockTime = (ms: number): string => new Date(ms).toTimeString().slice(0, 8)
const barMax = 30

/** The screen as lines, for a terminal of this width. */
export function screenLines(state: LiveState, nowMs: number, width: number, keys: string): readonly string[] {
  const title = (text: string) => painted(text, 'bold')
  return [
    title(`Zonemesh demo  ${clockTime(nowMs)}`),
    '',
    ...zoneLines(state),
    ...processLines(state),
    '',
    title(`Requests through the gateway of east, last ${windowMs / 1000} s`),
    ...requestLines(state.requests),
    '',
    title('Changes, and when the zones served them'),
    ...eventLines(state.changes, width),
    '',
    title('Events'),
    ...eventLines(state.events, width),
    '',
    keys,
  ]
}

function zoneLines({ zones, outages }: LiveState): readonly string[] {
  if (!zones) return [painted('the global does not answer: the zones go on by themselves', 'red')]
  const rows = zones.map(({ zone, state, session, served, proxies }) => [zone, state, session, served, proxies])
  const lines = columns([['ZONE', 'STATE', 'SESSION', 'SERVED', 'PROXIES'], ...rows])
  return lines.map((line, index) => (outages.has(`zone ${zones[index - 1]?.zone}`) ? painted(line, 'red') : line))
}

function processLines({ processes }: LiveState): readonly string[] {
  const down = [...processes].filter(([, { runs }]) => !runs).map(([name]) => name)
  const again = [...processes].filter(([, { restarts }]) => restarts > 0)
  const running = processes.size - down.length
  return [
    `${running} of ${processes.size} processes run${again.length === 0 ? '' : `; started again: ${again.map(([name, { restarts }]) => `${name} ${restarts}×`).join(', ')}`}`,
    ...(down.length === 0 ? [] : [painted(`ended: ${down.join(', ')}`, 'red')]),
  ]
}

function requestLines(requests: readonly Request[]): readonly string[] {
  const failed = requests.filter(isFailed).length
  const times = requests.filter((one) => !isFailed(one)).map(({ ms }) => ms)
  const total = `${requests.length} requests, ${failed} failed, p50 ${quantile(times, 0.5)} ms, p99 ${quantile(times, 0.99)} ms`
  const last = requests.at(-1)
  return [
    failed > 0 ? painted(total, 'red') : total,
    ...shares(requests),
    ...(last
      ? [`last: ${last.status === 0 ? '' : `${last.status} `}${last.answeredBy}, ${last.ms.toFixed(1)} ms`]
      : []),
  ]
}

/** Who answered how many of the requests, with a bar each. */
function shares(requests: readonly Request[]): readonly string[] {
  const counts = Map.groupBy(requests, ({ answeredBy }) => answeredBy)
  const rows = [...counts].sort(([a], [b]) => (a < b ? -1 : 1))
  return columns(
    rows.map(([name, { length }]) => [
      `  ${name}`,
      `${Math.round((100 * length) / requests.length)} %`,
      '█'.repeat(Math.max(1, Math.round((barMax * length) / requests.length))),
    ]),
  )
}

function quantile(values: readonly number[], part: number): string {
  const sorted = [...values].sort((a, b) => a - b)
  const value = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))]
  return value === undefined ? '-' : value.toFixed(1)
}

function eventLines(lines: readonly Line[], width: number): readonly string[] {
  if (lines.length === 0) return ['  none yet']
  return lines.map(({ atMs, text, colour }) => {
    const line = `  ${clockTime(atMs)}  ${text}`
    const cut = line.length > width ? `${line.slice(0, width - 1)}…` : line
    return colour ? painted(cut, colour) : cut
  })
}
