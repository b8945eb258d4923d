import pino from 'pino'

type Fields = Record<string, unknown>

/** Structured logging as a dependency: fields first, then one sentence for people. Never a secret in either. */
export interface Log {
  debug(fields: Fields, message: string): void
  info(fields: Fields, message: string): void
  warn(fields: Fields, message: string): void
  error(fields: Fields, message: string): void
  child(fields: Fields): Log
}

export const logLevels = ['debug', 'info', 'warn', 'error', 'silent'] as const
export type LogLevel = (typeof logLevels)[number]

/** Logs to stderr: readable on a terminal, JSON otherwise. */
export function createLog(options: { level: LogLevel; name: string }): Log {
  const base = { level: options.level, name: options.name }
  if (!process.stderr.isTTY) return pino(base, pino.destination({ fd: 2, sync: true }))
  const transport = {
    target: 'pino-pretty',
    options: { destination: 2, ignore: 'pid,hostname', translateTime: 'HH:MM:ss.l' },
  }
  return pino({ ...base, transport })
}

export const silentLog: Log = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  child: () => silentLog,
}
