import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { defaultConfig } from '@zonemesh/dataplane/contract.ts'
import { partAddress } from '@zonemesh/dataplane/part.ts'
import { untilAnswer } from '../base/http.ts'
import { limitMs } from './stage.ts'

/** The resolver in the loopback network that a proxy has claimed. The proxy writes the network to its work folder. */
export async function claimedResolver(workDir: string): Promise<string> {
  return untilAnswer(
    `the proxy of ${workDir} has a resolver`,
    limitMs,
    async () => {
      const file = join(workDir, 'part.json')
      if (!existsSync(file)) return ''
      // The proxy itself writes this file.
      const { part } = JSON.parse(readFileSync(file, 'utf8')) as { readonly part: number }
      return `${partAddress(part, 1)}:${defaultConfig.dns.port}`
    },
    (text) => text !== '',
    () => 'none',
  )
}
