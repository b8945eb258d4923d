import type { Context } from '../base/command.ts'
import { isTerminal } from '../output/colour.ts'
import { createProgress } from '../output/screen.ts'
import { type Answer, timesOf, timesText } from './answers.ts'

/** What a run does: no fault yet or any more, a fault, or the time in which the stack converges after it. */
export type Phase =
  | { readonly name: 'calm' }
  | { readonly name: 'fault'; readonly title: string; readonly fromMs: number; readonly forMs: number | undefined }
  | { readonly name: 'after'; readonly title: string; readonly fromMs: number }

/** The state of a run at one time. */
export interface Moment {
  readonly atMs: number
  readonly phase: Phase
  readonly answers: readonly Answer[]
}

/** The rate and the times are those of this last part of the traffic. */
const windowMs = 5_000
/** In a pipe, there is at most one line in this time. The beginning of a fault has its line at once. */
const pipeEveryMs = 5_000

/** How often a run reports its state. */
export const reportEveryMs = 250

const seconds = (ms: number): string => `${Math.max(0, Math.ceil(ms / 1_000))} s`

function phaseText(phase: Phase, atMs: number): string {
  if (phase.name === 'calm') return 'no fault'
  // The time left replaces the duration, so that the line fits on a narrow terminal.
  const title = phase.title.replace(/ for [\d.]+ s/, '')
  const passedMs = atMs - phase.fromMs
  if (phase.name === 'after') return `${title}: ended, converging since ${seconds(passedMs)}`
  const leftMs = (phase.forMs ?? 0) - passedMs
  if (leftMs > 0) return `${title}: ${seconds(leftMs)} left`
  return `${title}: ${phase.forMs === undefined ? `since ${seconds(passedMs)}` : `ending since ${seconds(-leftMs)}`}`
}

/** The answers since a time. They are in the order of their arrival. */
function since(answers: readonly Answer[], fromMs: number): readonly Answer[] {
  const before = answers.findLastIndex(({ atMs }) => atMs < fromMs)
  return answers.slice(before + 1)
}

/** The line begins with what matters most, because a narrow terminal shows only its beginning. */
export function progressLine({ atMs, phase, answers }: Moment, failed: number): string {
  const recent = since(answers, atMs - windowMs)
  const spanMs = Math.min(windowMs, atMs - (answers[0]?.startedAtMs ?? atMs))
  const rate = spanMs > 0 ? Math.round((recent.length / spanMs) * 1_000) : 0
  return `${phaseText(phase, atMs)}; ${failed} failed, ${rate} requests/s, ${timesText(timesOf(recent))}`
}

/** Reports a run: one line that is rewritten on a terminal, and a line every few seconds in a pipe. */
export function createReporter(context: Pick<Context, 'note'>, isRewritten = isTerminal(process.stderr)) {
  const progress = createProgress(context)
  let counted = 0
  let failed = 0
  let shown: Moment | undefined
  function count(answers: readonly Answer[]): void {
    for (; counted < answers.length; counted += 1) if (answers[counted]?.ok === false) failed += 1
  }
  return {
    show(moment: Moment): void {
      count(moment.answers)
      const isBegun = moment.phase.name === 'fault' && moment.phase !== shown?.phase
      if (!isRewritten && !isBegun && shown && moment.atMs - shown.atMs < pipeEveryMs) return
      shown = moment
      progress.show(progressLine(moment, failed), failed > 0 ? 'red' : undefined)
    },
    /** Removes the line, so that the verdict begins at the left. */
    end: (): void => progress.end(),
  }
}
export type Reporter = ReturnType<typeof createReporter>
