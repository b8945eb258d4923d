import { addressOf } from './table.ts'

/** Numbers in one part of the loopback range. */
const partSize = 4096
const loopbackBase = '127.128.0.0'

/** The address of this number in a proxy's part of 127.128.0.0/9; undefined for numbers beyond the part. */
export const loopbackAddressOf = (number: number, part: number): string | undefined =>
  number < partSize ? addressOf(part * partSize + number, loopbackBase) : undefined
