import { runCommandLine } from './command-line.ts'

const stop = new AbortController()
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(name, () => {
    // A second signal does not wait for a clean end.
    if (stop.signal.aborted) process.exit(1)
    stop.abort(new Error(`stopped by ${name}`))
  })
}
// A closed pipe (`zonemesh get … | head`) is not an error worth a stack.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0)
  throw error
})

process.exitCode = await runCommandLine(process.argv.slice(2), stop.signal)
// Handles that a library left open must not keep a finished command alive.
if (process.exitCode !== 0 || stop.signal.aborted || !process.stdout.writableNeedDrain) process.exit()
