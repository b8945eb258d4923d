import { performance } from 'node:perf_hooks'
import { runCommandLine } from './command-line.ts'

/** Ctrl-C sends two signals to a command: one from the terminal, and one that the launcher forwards. */
const sameKeyMs = 500

function abortOnSignals(): AbortSignal {
  const stop = new AbortController()
  let stoppedAtMs = 0
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(name, () => {
      // A second Ctrl-C exits without a clean shutdown.
      if (stop.signal.aborted && performance.now() - stoppedAtMs > sameKeyMs) process.exit(1)
      if (stop.signal.aborted) return
      stoppedAtMs = performance.now()
      stop.abort(new Error(`stopped by ${name}`))
    })
  }
  return stop.signal
}

const stopped = abortOnSignals()
// A closed pipe (`zonemesh get … | head`) is not an error that needs a stack trace.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0)
  throw error
})
// If stderr fails, no channel is left to report it.
process.stderr.on('error', () => {})

process.exitCode = await runCommandLine(process.argv.slice(2), stopped)
// Open handles of libraries must not keep a finished command alive.
if (process.exitCode !== 0 || stopped.aborted || !process.stdout.writableNeedDrain) process.exit()
