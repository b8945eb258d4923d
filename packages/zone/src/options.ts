import { list, option, port, text, type Values } from '@zonemesh/plane/config/options.ts'
import { planeOptions } from '@zonemesh/plane/config/plane-options.ts'

/** Settings of `zonemesh zone`. */
export const zoneOptions = {
  name: option(text.optional(), 'the name of a standalone zone; under a global, the token contains it', {
    placeholder: 'NAME',
  }),
  join: option(
    text.optional(),
    'the join string from `zonemesh token zone` on the global, or a file that holds it; the zone reads a file again when it changes',
    { placeholder: 'STRING|FILE', secret: true },
  ),
  joinFile: option(text.optional(), 'file with the join string, as --join FILE', { placeholder: 'FILE' }),
  acceptGlobal: option(text.optional(), 'store id of another global that this zone may take its rows from', {
    placeholder: 'STORE',
  }),
  ...planeOptions,
  proxyPort: option(port.default(5678), 'TLS port for proxies: bootstrap, xDS and sessions', {
    placeholder: 'PORT',
    shownDefault: '5678',
  }),
  dnsPort: option(port.default(5653), 'port of the resolver (UDP and TCP)', {
    placeholder: 'PORT',
    shownDefault: '5653',
  }),
  dnsHost: option(text.optional(), 'address of the resolver', { placeholder: 'ADDRESS', shownDefault: 'as --host' }),
  dnsForward: option(list.default([]), 'name servers for names outside of the mesh domain', {
    placeholder: 'HOST[:PORT]',
    repeated: true,
    shownDefault: 'those of this machine',
  }),
  dnsDefaultMesh: option(text.default('default'), 'the mesh of clients whose address belongs to no proxy', {
    placeholder: 'MESH',
    shownDefault: 'default',
  }),
}

export type ZoneConfig = Values<typeof zoneOptions>
