import { createPrivateKey, X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import { hostname, networkInterfaces } from 'node:os'
import { join } from 'node:path'
import type { Clock } from '@zonemesh/shared/env/clock.ts'
import { readKeyFile, writeKeyFile } from './key-file.ts'
import { createRoot, createServerCertificate, fingerprint, lifetime } from './x509.ts'

/** The certificate and key that a control plane uses on its TLS ports. */
export interface ServerTls {
  /** The server's certificate followed by its authority. */
  readonly certificate: string
  readonly key: string
  readonly authority: string
  /** SHA-256 of the authority in hex, for join strings. */
  readonly pin: string
}

/** The names and addresses of this machine. */
function localHosts(extra: readonly string[]): string[] {
  const addresses = Object.values(networkInterfaces()).flatMap((list) =>
    (list ?? []).map(({ address }) => address.replace(/%.*$/, '')),
  )
  return [...new Set(['localhost', hostname(), '127.0.0.1', '::1', ...addresses, ...extra])].filter(
    (host) => host !== '',
  )
}

const readText = (folder: string, name: string): string => readKeyFile(join(folder, name)).text ?? ''

/**
 * The server certificate in a folder; undefined if it must be replaced. A replacement does no harm, as peers pin the
 * authority.
 */
function storedServer(folder: string, authority: string, hosts: readonly string[], nowMs: number) {
  const [certificate, key] = [readText(folder, 'server.crt'), readText(folder, 'server.key')]
  try {
    const parsed = new X509Certificate(certificate)
    // `checkIP` throws if its argument is no address.
    const has = (host: string) => (isIP(host) ? parsed.checkIP(host) : parsed.checkHost(host)) !== undefined
    const isGood =
      hosts.every(has) &&
      new Date(parsed.validTo).getTime() > nowMs + 30 * 86_400_000 &&
      // A start in the future means that the clock was ahead when the certificate was created.
      new Date(parsed.validFrom).getTime() <= nowMs &&
      parsed.checkPrivateKey(createPrivateKey(key)) &&
      parsed.verify(new X509Certificate(authority).publicKey)
    return isGood ? { certificate, key } : undefined
  } catch {
    return undefined
  }
}

/**
 * Opens the TLS material of a data folder: its authority, which is created once so that pins stay valid, and a server
 * certificate. The certificate is replaced if it cannot be read, lacks a name, starts in the future or expires within
 * 30 days. Without a folder everything is in memory.
 */
export async function openServerTls(
  deps: { readonly clock: Clock },
  folder: string | undefined,
  extraHosts: readonly string[],
): Promise<ServerTls> {
  const nowMs = deps.clock.wallMs()
  const hosts = localHosts(extraHosts)
  const authority = folder
    ? { certificate: readText(folder, 'ca.crt'), key: readText(folder, 'ca.key') }
    : await createRoot('zonemesh control plane', lifetime(nowMs, 3650))
  const stored = folder ? storedServer(folder, authority.certificate, hosts, nowMs) : undefined
  const server = stored ?? (await createServerCertificate(authority, hosts, lifetime(nowMs, 397)))
  if (folder && !stored) {
    writeKeyFile(join(folder, 'server.key'), server.key)
    writeKeyFile(join(folder, 'server.crt'), server.certificate)
  }
  return {
    certificate: server.certificate + authority.certificate,
    key: server.key,
    authority: authority.certificate,
    pin: await fingerprint(authority.certificate),
  }
}
