import { Writable } from 'node:stream'
import pino from 'pino'
import pretty from 'pino-pretty'
import { createLogOutput, type LogOutput } from './log-output.ts'

type Fields = Record<string, unknown>

/** Structured logging as a dependency: fields, then one sentence. Neither may contain a secret. */
export interface Log {
  debug(fields: Fields, message: string): void
  info(fields: Fields, message: string): void
  warn(fields: Fields, message: string): void
  error(fields: Fields, message: string): void
  child(fields: Fields): Log
}

export const logLevels = ['debug', 'info', 'warn', 'error', 'silent'] as const
export type LogLevel = (typeof logLevels)[number]

/** Logs to stderr: readable text on a terminal, JSON otherwise. A line that cannot be written is dropped. */
export function createLog(options: { level: LogLevel; name: string }): Log {
  const base = { level: options.level, name: options.name }
  const output = createLogOutput(2, (dropped) =>
    log.warn({ dropped }, 'lines of the log could not be written and were dropped'),
  )
  const log: Log = pino(base, process.stderr.isTTY ? readable(output) : output)
  return log
}

function readable(output: LogOutput) {
  const destination = new Writable({
    decodeStrings: false,
    write(chunk: string | Buffer, _encoding, done) {
      output.write(String(chunk))
      done()
    },
  })
  const lines = pretty({ destination, ignore: 'pid,hostname', translateTime: 'HH:MM:ss.l', colorize: true })
  return { write: (line: string) => void lines.write(withoutControls(line)) }
}

/**
 * Escapes control characters in a line of JSON. Some texts come from other machines and must not control the terminal.
 */
const withoutControls = (line: string): string =>
  line
    .replace(/\\(u00[01][0-9a-f]|.)/g, (whole, what: string) =>
      what.startsWith('u00') ? `\\\\x${what.slice(3)}` : whole,
    )
    .replace(/[\u007f-\u009f]/g, (one) => `\\\\x${one.charCodeAt(0).toString(16)}`)

export const silentLog: Log = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  child: () => silentLog,
}
