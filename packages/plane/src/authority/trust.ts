import { X509Certificate } from 'node:crypto'

/**
 * Whether one of these authorities (PEM) is, or has signed, the first certificate of a chain (PEM). Throws if a text
 * is not PEM.
 */
export function trusts(roots: string, chain: string): boolean {
  const leaf = new X509Certificate(chain)
  return pems(roots).some((pem) => {
    const root = new X509Certificate(pem)
    return leaf.fingerprint256 === root.fingerprint256 || (leaf.checkIssued(root) && leaf.verify(root.publicKey))
  })
}

const pems = (text: string): readonly string[] =>
  text.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? []
