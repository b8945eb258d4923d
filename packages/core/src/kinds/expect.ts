import { isIp } from './common.ts'

/** Rows of peers were not admitted here. These throw on what would otherwise break the configuration of others. */

/** A port, or an error that says what was found. */
export function expectPort(field: string, value: unknown): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= 65_535) return value
  throw new Error(`${field}: expected a port, found ${JSON.stringify(value)}`)
}

/** An IP address; a name is none. */
export function expectIp(field: string, value: string): string {
  if (isIp(value)) return value
  throw new Error(`${field}: expected an IP address, found "${value}"`)
}

/** A whole number that is not negative. */
export function expectCount(field: string, value: unknown): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && value < 2 ** 32) return value
  throw new Error(`${field}: expected a whole number, found ${JSON.stringify(value)}`)
}
