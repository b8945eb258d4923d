import { performance } from 'node:perf_hooks'
import { runCommandLine } from './command-line.ts'

/** Ctrl-C reaches a command twice: by the terminal, and by the launcher that hands it on. */
const sameKeyMs = 500

function abortOnSignals(): AbortSignal {
  const stop = new AbortController()
  let stoppedAtMs = 0
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(name, () => {
      // A second key does not wait for a clean end.
      if (stop.signal.aborted && performance.now() - stoppedAtMs > sameKeyMs) process.exit(1)
      if (stop.signal.aborted) return
      stoppedAtMs = performance.now()
      stop.abort(new Error(`stopped by ${name}`))
    })
  }
  return stop.signal
}

const stopped = abortOnSignals()
// A closed pipe (`zonemesh get … | head`) is not an error worth a stack.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0)
  throw error
})
// Nowhere is left to report that a message could not be written.
process.stderr.on('error', () => {})

process.exitCode = await runCommandLine(process.argv.slice(2), stopped)
// Handles that a library left open must not keep a finished command alive.
if (process.exitCode !== 0 || stopped.aborted || !process.stdout.writableNeedDrain) process.exit()
