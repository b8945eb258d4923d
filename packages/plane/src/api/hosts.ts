import { isIP } from 'node:net'
import { hostname } from 'node:os'
import { hostName } from './identity.ts'

/**
 * The host names under which a plane answers requests without a token. A web page can make a name of its own domain
 * resolve to the address of a plane and then read the responses (DNS rebinding), but its requests carry that name in
 * Host. A Host that is an address cannot be rebound.
 */
export function createOwnHosts(configured: readonly string[]): (authority: string) => boolean {
  const own = hostname().toLowerCase()
  const names = new Set(['localhost', own, own.split('.')[0], ...configured.map((name) => name.toLowerCase())])
  return (authority) => {
    const name = hostName(authority).toLowerCase().replace(/\.$/, '')
    return name === '' || isIP(name) !== 0 || names.has(name)
  }
}
