import { addressOf } from './table.ts'

/** Numbers in one part of the loopback range. */
const partSize = 4096
const loopbackBase = '127.128.0.0'

/** The address with this number in a proxy's part of 127.128.0.0/9; numbers beyond the part have none. */
export const loopbackAddressOf = (number: number, part: number): string | undefined =>
  number < partSize ? addressOf(part * partSize + number, loopbackBase) : undefined
