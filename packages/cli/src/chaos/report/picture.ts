import type { Timeline } from '../timeline.ts'
import type { FaultReport, GuaranteeReport, Verdict } from '../verdict.ts'

/** Text that is safe in HTML and in SVG. */
export const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')

const left = 170
const width = 1_000
const right = 20
const gap = 14

/** A row of the picture: its height, and what is drawn in it when its upper edge is at 0. */
interface Band {
  readonly height: number
  readonly label: string
  readonly marks: readonly string[]
}

/** The time line of a run as SVG: faults, requests, times, the delay of each zone, and violations of each guarantee. */
export function timelinePicture({ timeline, faults, guarantees }: Verdict): string {
  const spanMs = Math.max(timeline.stepMs, timeline.steps.length * timeline.stepMs)
  const x = (atMs: number): number => round(left + ((atMs - timeline.fromMs) / spanMs) * width)
  const bands = [
    faultBand(faults, x),
    ...stepBands(timeline, x),
    ...zoneBands(timeline, x),
    ...guarantees.map((one) => guaranteeBand(one, x)),
    axisBand(timeline, spanMs, x),
  ]
  let top = 0
  const rows = bands.map(({ height, label, marks }) => {
    const row = `<g transform="translate(0 ${top})"><text class="label" x="${left - 8}" y="${height / 2 + 4}">${escaped(label)}</text>${marks.join('')}</g>`
    top += height + gap
    return row
  })
  const shades = faults.map(
    ({ fromMs, healedAtMs }) =>
      `<rect class="shade" x="${x(fromMs)}" y="0" width="${round(x(healedAtMs) - x(fromMs))}" height="${top}"/>`,
  )
  return `<svg viewBox="0 0 ${left + width + right} ${top}" role="img" aria-label="time line of the run">${[...shades, ...rows].join('\n')}</svg>`
}

const round = (value: number): number => Math.round(value * 10) / 10

type Place = (atMs: number) => number

const laneHeight = 20

/** Each fault in the first lane that is free, so that titles of neighbours do not cover each other. */
function faultBand(faults: readonly FaultReport[], x: Place): Band {
  const ends: number[] = []
  const marks = faults.flatMap(({ title, fromMs, healedAtMs }) => {
    const [from, to] = [x(fromMs), x(healedAtMs)]
    const short = title.length > 44 ? `${title.slice(0, 43)}…` : title
    // A character is about six units wide. Near the right edge, a title ends with its fault.
    const textWidth = short.length * 6
    const isAtEnd = from + textWidth > left + width
    const lane = ends.findIndex((end) => end <= (isAtEnd ? Math.min(from, to - textWidth) : from))
    const own = lane < 0 ? ends.length : lane
    ends[own] = Math.max(to, isAtEnd ? to : from + textWidth) + 8
    const anchor = isAtEnd ? ` text-anchor="end" x="${to}"` : ` x="${from}"`
    return [
      `<rect class="fault" x="${from}" y="${own * laneHeight + 13}" width="${Math.max(2, round(to - from))}" height="5"><title>${escaped(title)}</title></rect>`,
      `<text class="small"${anchor} y="${own * laneHeight + 10}">${escaped(short)}</text>`,
    ]
  })
  return { height: Math.max(1, ends.length) * laneHeight, label: 'faults', marks }
}

/** A line through one value of each step. It is interrupted where a step has none. */
function line(values: readonly (number | undefined)[], top: number, height: number, timeline: Timeline, x: Place) {
  const at = (index: number): number => x(timeline.fromMs + (index + 0.5) * timeline.stepMs)
  let pen = 'M'
  const points = values.map((value, index) => {
    if (value === undefined) {
      pen = 'M'
      return ''
    }
    const point = `${pen}${at(index)} ${round(height - (Math.min(value, top) / top) * height)}`
    pen = 'L'
    return point
  })
  return `<path class="line" d="${points.join('')}"/>`
}

const scale = (text: string): string => `<text class="small" x="${left + 4}" y="9">${text}</text>`
const frame = (height: number): string => `<path class="frame" d="M${left} ${height}H${left + width}"/>`

function stepBands(timeline: Timeline, x: Place): Band[] {
  const { steps, fromMs, stepMs } = timeline
  const height = 48
  const most = Math.max(1, ...steps.map(({ requests }) => requests))
  const slowest = Math.max(1, ...steps.map(({ p99Ms = 0 }) => p99Ms))
  const failures = steps.flatMap(({ failed }, index) =>
    failed === 0
      ? []
      : [
          `<rect class="bad" x="${x(fromMs + index * stepMs)}" y="${round(height - (failed / most) * height)}" width="${round(x(fromMs + stepMs) - left)}" height="${round((failed / most) * height)}"><title>${failed} failed</title></rect>`,
        ],
  )
  const requests = line(
    steps.map((one) => one.requests),
    most,
    height,
    timeline,
    x,
  )
  const p99 = line(
    steps.map(({ p99Ms }) => p99Ms),
    slowest,
    height,
    timeline,
    x,
  )
  return [
    { height, label: 'requests/s', marks: [frame(height), requests, ...failures, scale(`${most}`)] },
    { height, label: 'p99', marks: [frame(height), p99, scale(`${round(slowest)} ms`)] },
  ]
}

/** The delay of each zone as the global reports it. Where the zone was not connected, the band is filled. */
function zoneBands(timeline: Timeline, x: Place): Band[] {
  const { steps, fromMs, stepMs } = timeline
  const height = 36
  const zones = [...new Set(steps.flatMap((step) => Object.keys(step.zones)))].sort()
  return zones.map((zone) => {
    const lags = steps.map((step) => step.zones[zone]?.lagMs)
    const most = Math.max(100, ...lags.map((lag = 0) => lag))
    const away = steps.flatMap((step, index) =>
      step.zones[zone]?.isConnected === false
        ? [
            `<rect class="away" x="${x(fromMs + index * stepMs)}" y="0" width="${round(x(fromMs + stepMs) - left)}" height="${height}"/>`,
          ]
        : [],
    )
    const marks = [...away, frame(height), line(lags, most, height, timeline, x), scale(`${Math.round(most)} ms`)]
    return { height, label: `delay of ${zone}`, marks }
  })
}

function guaranteeBand({ guarantee, violations, observations }: GuaranteeReport, x: Place): Band {
  const ticks = violations.map(
    ({ atMs, reason }) =>
      `<rect class="bad" x="${x(atMs)}" y="0" width="3" height="12"><title>${escaped(reason)}</title></rect>`,
  )
  const count = violations.length === 0 ? `${observations} observations` : `${violations.length} violations`
  const line = `<path class="${violations.length === 0 && observations > 0 ? 'good' : 'bad-line'}" d="M${left} 6H${left + width}"/>`
  return { height: 12, label: `${guarantee} · ${count}`, marks: [line, ...ticks] }
}

function axisBand({ fromMs }: Timeline, spanMs: number, x: Place): Band {
  const everyMs = [5_000, 10_000, 30_000, 60_000, 300_000, 600_000].find((one) => spanMs / one <= 14) ?? 3_600_000
  const marks = Array.from({ length: Math.floor(spanMs / everyMs) + 1 }, (_, index) => {
    const at = x(fromMs + index * everyMs)
    return `<path class="frame" d="M${at} 0V4"/><text class="small" text-anchor="middle" x="${at}" y="15">${(index * everyMs) / 1_000} s</text>`
  })
  return { height: 16, label: '', marks: [`<path class="frame" d="M${left} 0H${left + width}"/>`, ...marks] }
}
