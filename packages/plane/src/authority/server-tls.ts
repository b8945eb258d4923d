import { X509Certificate } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { hostname, networkInterfaces } from 'node:os'
import { join } from 'node:path'
import type { Clock } from '@zonemesh/shared/env/clock.ts'
import { createRoot, createServerCertificate, fingerprint, lifetime } from './x509.ts'

/** What a control plane shows on its TLS ports. */
export interface ServerTls {
  /** The server's certificate followed by its authority. */
  readonly certificate: string
  readonly key: string
  readonly authority: string
  /** SHA-256 of the authority in hex, for join strings. */
  readonly pin: string
}

/** Names and addresses by which this machine is reached. */
function localHosts(extra: readonly string[]): string[] {
  const addresses = Object.values(networkInterfaces()).flatMap((list) =>
    (list ?? []).map((one) => one.address.replace(/%.*$/, '')),
  )
  return [...new Set(['localhost', hostname(), '127.0.0.1', '::1', ...addresses, ...extra])].filter(
    (host) => host !== '',
  )
}

const covers = (certificate: string, hosts: readonly string[], nowMs: number): boolean => {
  const parsed = new X509Certificate(certificate)
  // `checkIP` throws for what is no address.
  const has = (host: string) => (isIP(host) ? parsed.checkIP(host) : parsed.checkHost(host)) !== undefined
  return hosts.every(has) && new Date(parsed.validTo).getTime() > nowMs + 30 * 86_400_000
}

/**
 * The TLS material of a data folder: an authority made once (so that pins stay true) and a server certificate, made anew
 * when a name is missing in it or it ends within 30 days. Without a folder everything lives in memory.
 */
export async function openServerTls(
  deps: { readonly clock: Clock },
  folder: string | undefined,
  extraHosts: readonly string[],
): Promise<ServerTls> {
  const nowMs = deps.clock.wallMs()
  const hosts = localHosts(extraHosts)
  const read = (name: string) =>
    folder && existsSync(join(folder, name)) ? readFileSync(join(folder, name), 'utf8') : undefined
  const write = (name: string, text: string) => {
    if (!folder) return
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    writeFileSync(join(folder, name), text, { mode: 0o600 })
  }

  const storedAuthority = read('ca.crt')
  const storedAuthorityKey = read('ca.key')
  const authority =
    storedAuthority && storedAuthorityKey
      ? { certificate: storedAuthority, key: storedAuthorityKey }
      : await createRoot('zonemesh control plane', lifetime(nowMs, 3650))
  if (!storedAuthority) {
    write('ca.crt', authority.certificate)
    write('ca.key', authority.key)
  }
  const storedCertificate = read('server.crt')
  const storedKey = read('server.key')
  const server =
    storedAuthority && storedCertificate && storedKey && covers(storedCertificate, hosts, nowMs)
      ? { certificate: storedCertificate, key: storedKey }
      : await createServerCertificate(authority, hosts, lifetime(nowMs, 397))
  if (server.certificate !== storedCertificate) {
    write('server.crt', server.certificate)
    write('server.key', server.key)
  }
  return {
    certificate: server.certificate + authority.certificate,
    key: server.key,
    authority: authority.certificate,
    pin: await fingerprint(authority.certificate),
  }
}
