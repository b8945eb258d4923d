import { readFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { err, ok, type Result, shortHash } from '@zonemesh/shared/base/base.ts'
import type { DnsServer } from '@zonemesh/shared/dns/server.ts'
import { writeAtomic } from './files.ts'

/** The number of parts, of 4,096 addresses each, into which loopback mode divides 127.128.0.0/9. */
export const partCount = 2048
const partSize = 4096
const base = 0x7f80_0000

/** The address with number `offset` in a part. */
export function partAddress(part: number, offset: number): string {
  const number = base + part * partSize + offset
  return [24, 16, 8, 0].map((shift) => (number >>> shift) & 255).join('.')
}

export interface Claim {
  readonly part: number
  readonly resolver: DnsServer
}

/**
 * Claims a part by binding a resolver to its first address: the operating system lets only one process bind it. Tries
 * the part of the last run first, so that addresses stay the same. Returns the error of the last address if this host
 * has no such addresses, or another process holds the port on all of them.
 */
export async function claimPart(
  workDir: string,
  name: string,
  startResolver: (host: string) => Promise<DnsServer>,
): Promise<Result<Claim, Error>> {
  const file = join(workDir, 'part.json')
  const former = await readKept(file)
  const first = former ?? Number.parseInt(shortHash(name).slice(0, 8), 16) % partCount
  let lastError = new Error('no address was tried')
  for (let step = 0; step < partCount; step++) {
    const part = (first + step) % partCount
    try {
      const resolver = await startResolver(partAddress(part, 1))
      if (part !== former) await writeAtomic(file, JSON.stringify({ part }))
      return ok({ part, resolver })
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException // errors of binding carry a code
      if (!(error instanceof Error) || (code !== 'EADDRINUSE' && code !== 'EADDRNOTAVAIL')) throw error
      lastError = error
      if (code === 'EADDRNOTAVAIL') break
    }
  }
  return err(lastError)
}

/** Whether this user can bind a port. Envoy runs as the same user. */
export function canBind(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(true)))
  })
}

async function readKept(file: string): Promise<number | undefined> {
  try {
    const parsed: unknown = JSON.parse(await readFile(file, 'utf8'))
    const part = parsed !== null && typeof parsed === 'object' && 'part' in parsed ? parsed.part : undefined
    return typeof part === 'number' && Number.isInteger(part) && part >= 0 && part < partCount ? part : undefined
  } catch {
    return undefined
  }
}
