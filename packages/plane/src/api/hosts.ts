import { isIP } from 'node:net'
import { hostname } from 'node:os'
import { hostName } from './identity.ts'

/**
 * The names by which a plane may be asked without a token. A page of a browser can resolve a name of its own to the address of a
 * plane and then read the answers as its own (DNS rebinding), but its requests bear that name. An address cannot be rebound.
 */
export function createOwnHosts(configured: readonly string[]): (authority: string) => boolean {
  const own = hostname().toLowerCase()
  const names = new Set(['localhost', own, own.split('.')[0], ...configured.map((name) => name.toLowerCase())])
  return (authority) => {
    const name = hostName(authority).toLowerCase().replace(/\.$/, '')
    return name === '' || isIP(name) !== 0 || names.has(name)
  }
}
