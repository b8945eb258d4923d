/** The host and port of a zone's proxy port. An IPv6 host has no brackets. */
export const endpointOf = (address: URL): { readonly host: string; readonly port: number } => ({
  host: address.hostname.replaceAll(/[[\]]/g, ''),
  port: Number(address.port || 5678),
})
