/** Where a zone's port for proxies is. IPv6 addresses come without their brackets. */
export const endpointOf = (address: URL): { readonly host: string; readonly port: number } => ({
  host: address.hostname.replaceAll(/[[\]]/g, ''),
  port: Number(address.port || 5678),
})
