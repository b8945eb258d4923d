import { untilAborted } from '@zonemesh/shared/env/aborted.ts'
import type { Demo } from '../demo/run.ts'
import { terminalText } from '../output/terminal-text.ts'
import { act, createActions, keysLine } from './actions.ts'
import { followChanges, followStatus, followTraffic } from './follow.ts'
import { screenLines } from './lines.ts'
import { createLiveState, happened, type LiveEvent } from './state.ts'

const enterScreen = '\u001b[?1049h\u001b[?25l'
const leaveScreen = '\u001b[?25h\u001b[?1049l'
const home = '\u001b[H'
const clearRest = '\u001b[J'
const clearLine = '\u001b[K'
const ctrlC = '\u0003'
/** Events within this time are drawn together. */
const drawDelayMs = 30
const tickMs = 1_000

/**
 * Shows a running demo on the terminal until the signal, Ctrl-C or the key q: zones, traffic, changes and faults as they
 * happen. Keys act on the demo. `commands` are shown by the key c. A process that ends is started again.
 */
export async function showLive(demo: Demo, commands: readonly string[], signal: AbortSignal): Promise<void> {
  const quit = new AbortController()
  const ending = AbortSignal.any([signal, quit.signal])
  const state = createLiveState()
  const actions = await createActions(demo)
  let showsCommands = false
  let timer: NodeJS.Timeout | undefined

  function draw(): void {
    timer = undefined
    const { columns = 100, rows = 40 } = process.stdout
    const lines = showsCommands
      ? [...commands, '', 'c back   q quit']
      : screenLines(state, Date.now(), columns, keysLine(actions))
    const shown = lines.slice(0, rows - 1).map((line) => `${terminalText(line)}${clearLine}\r\n`)
    process.stdout.write(`${home}${shown.join('')}${clearRest}`)
  }
  const drawSoon = () => {
    timer ??= setTimeout(draw, drawDelayMs)
  }
  const report = (event: LiveEvent) => {
    happened(state, event)
    drawSoon()
  }
  const onKey = (data: Buffer) => {
    const key = data.toString('utf8')
    if (key === 'q' || key === ctrlC) return quit.abort()
    if (key === 'c') showsCommands = !showsCommands
    const action = actions.find((one) => one.key === key)
    if (action) void act(action, report)
    drawSoon()
  }

  using _screen = openScreen(onKey)
  const tick = setInterval(drawSoon, tickMs)
  followProcesses(demo, report)
  try {
    await Promise.all([
      followTraffic(demo, report, ending),
      followStatus(demo.global, report, ending),
      followChanges(demo.global, report, ending),
      untilAborted(ending),
    ])
  } finally {
    clearInterval(tick)
    clearTimeout(timer)
  }
}

/** Takes the terminal: another screen, no cursor, and single keys. Disposing gives it back. */
function openScreen(onKey: (data: Buffer) => void): Disposable {
  const { stdin, stdout } = process
  stdout.write(enterScreen)
  stdin.setRawMode?.(true)
  stdin.on('data', onKey).resume()
  return {
    [Symbol.dispose]() {
      stdin.off('data', onKey).pause()
      stdin.setRawMode?.(false)
      stdout.write(leaveScreen)
    },
  }
}

/** Reports processes that start and end, and starts them again from now on. */
function followProcesses({ processes }: Demo, report: (event: LiveEvent) => void): void {
  const known = new Map<string, number>()
  const look = () => {
    for (const { name, pid } of processes.all()) {
      if (known.get(name) === pid) continue
      known.set(name, pid)
      report({ type: 'started', atMs: Date.now(), name })
    }
  }
  look()
  processes.onChange(look)
  processes.keepRunning((name, how) => report({ type: 'ended', atMs: Date.now(), name, how: String(how) }))
}
