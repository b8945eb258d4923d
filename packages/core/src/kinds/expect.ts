import { isIp } from './common.ts'

/**
 * Rows of peers have not passed our admission. These functions throw on values that would break the configuration of
 * others.
 */

/** Returns the port. Throws an error that contains the value found. */
export function expectPort(field: string, value: unknown): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= 65_535) return value
  throw new Error(`${field}: expected a port, found ${JSON.stringify(value)}`)
}

/** Returns the IP address. Throws if it is a hostname. */
export function expectIp(field: string, value: string): string {
  if (isIp(value)) return value
  throw new Error(`${field}: expected an IP address, found "${value}"`)
}

/** Returns the number. Throws if it is not a whole number from 0 to 4294967295. */
export function expectCount(field: string, value: unknown): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && value < 2 ** 32) return value
  throw new Error(`${field}: expected a whole number, found ${JSON.stringify(value)}`)
}
