import { chmodSync, lstatSync, renameSync, writeFileSync } from 'node:fs'
import { list, option, positiveDuration, text, toggle } from '@zonemesh/plane/config/options.ts'
import { encodeJoin } from '@zonemesh/shared/auth/join.ts'
import { type Client, clientOptions, createClient } from '../base/client.ts'
import { CommandError, type Context, defineCommand } from '../base/command.ts'
import { joinString, joinUrl } from '../base/join-string.ts'

const tokenOptions = {
  validFor: option(positiveDuration.optional(), 'how long it is valid, such as 12h, 30d or 1y', {
    placeholder: 'DURATION',
    shownDefault: '10 years',
  }),
  out: option(text.optional(), 'write it to a file (mode 0600) instead of standard output', { placeholder: 'FILE' }),
  ...clientOptions,
}

/** In a unit that every version of a plane accepts; empty for the default of the plane. */
const validity = (ms: number | undefined): string => (ms === undefined ? '' : `${ms}ms`)

function deliver(context: Context, out: string | undefined, token: string): void {
  if (out === undefined) {
    context.print(token)
    return
  }
  // The file is replaced atomically, because a running zone reads its join file again. Pipes and devices are written
  // directly.
  const isFile = lstatSync(out, { throwIfNoEntry: false })?.isFile() ?? true
  const draft = isFile ? `${out}.${process.pid}` : out
  writeFileSync(draft, `${token}\n`, { mode: 0o600 })
  if (isFile) {
    chmodSync(draft, 0o600)
    renameSync(draft, out)
  }
  context.note(`written to ${out}`)
}

export const tokenZone = defineCommand({
  name: 'token zone',
  summary: 'make a token for a zone (its control plane and its ingress), and create the Zone; prints one join string',
  usage: 'ZONE [--scope cp,ingress] [--raw]',
  examples: [
    'zonemesh token zone east > east.join',
    'zonemesh zone --join east.join',
    'zonemesh token zone east --valid-for 30d --out east.join',
    'zonemesh token zone east --scope ingress --raw > ingress.token',
    'zonemesh token zone east --mesh shop --service "web*" > east.join',
    'zonemesh token zone east --websocket > east.join',
    'zonemesh token zone east --join-address wss://mesh.example?tls=system > east.join',
  ],
  arity: { min: 1, max: 1 },
  options: {
    scope: option(list.default(['cp', 'ingress', 'egress']), 'what it may be used for: cp, ingress, egress', {
      placeholder: 'SCOPE',
      repeated: true,
      shownDefault: 'cp,ingress,egress',
    }),
    mesh: option(list.default([]), 'limit the zone to these meshes; "a*" stands for all that begin with "a"', {
      placeholder: 'MESH',
      repeated: true,
      short: 'm',
    }),
    service: option(list.default([]), 'limit what the zone announces to these services; "b*" as for meshes', {
      placeholder: 'SERVICE',
      repeated: true,
    }),
    raw: option(toggle.default(false), 'print the bare token instead of a join string'),
    websocket: option(
      toggle.default(false),
      'join over WebSocket on the port of the HTTPS API, where a network lets only HTTP pass',
    ),
    joinAddress: option(
      list.default([]),
      'the global as the zone sees it, several are tried in turn; a wss:// URL joins over WebSocket, and ?tls=system in it trusts the roots of the machine because a proxy in between ends TLS',
      {
        placeholder: 'HOST:PORT|URL',
        repeated: true,
        shownDefault: 'as --address; if that is a loopback address, also the addresses of this machine',
      },
    ),
    ...tokenOptions,
  },
  async run(values, context) {
    const [zone = ''] = context.positionals
    const client = createClient(values)
    const existing = await client.call('GET', `/zones/${encodeURIComponent(zone)}`)
    const limits = {
      ...(values.mesh.length > 0 ? { meshes: values.mesh } : {}),
      ...(values.service.length > 0 ? { services: values.service } : {}),
    }
    const limited = Object.keys(limits).length > 0 ? { limits } : {}
    if (existing.status === 404) {
      const document = { type: 'Zone', name: zone, enabled: true, ...limited }
      await client.need('PUT', `/zones/${encodeURIComponent(zone)}`, document)
    }
    const request = { zone, scope: values.scope, validFor: validity(values.validFor), ...limited }
    const reply = await client.need('POST', '/tokens/zone', request)
    deliver(
      context,
      values.out,
      values.raw
        ? reply.text.trim()
        : await joinString(
            client,
            values.websocket ? 'websocket' : 'sync',
            values.joinAddress,
            reply.text.trim(),
            context.note,
          ),
    )
    return 0
  },
})

/** A client of the zone. The credentials of the command are for the global. */
function zoneClient(values: Parameters<typeof createClient>[0], address: string): Client {
  if (!URL.canParse(address))
    throw new CommandError(`--zone-address: expected a URL such as http://zone:5681, found "${address}"`, 2)
  return createClient({
    ...values,
    address,
    context: undefined,
    token: undefined,
    tokenFile: undefined,
    adminKeyFile: undefined,
  })
}

export const tokenDataplane = defineCommand({
  name: 'token dataplane',
  summary: 'make a token for a proxy; with --join one string that its `zonemesh dataplane` needs',
  usage: '[--name NAME] [--mesh MESH] [--service SERVICE] [--join [--zone-address URL]]',
  examples: [
    'zonemesh token dataplane --name web-1 > web-1.token',
    'zonemesh token dataplane --service web --join --zone-address http://zone.example:5681 > web.join',
    'zonemesh token dataplane --service web --join --join-address https://zone.example:5678 --join-pin …',
  ],
  arity: { min: 0, max: 0 },
  options: {
    name: option(text.default(''), 'only for the proxy of this name', { placeholder: 'NAME' }),
    mesh: option(text.default('default'), 'the mesh it belongs to', {
      placeholder: 'MESH',
      short: 'm',
      shownDefault: 'default',
    }),
    service: option(list.default([]), 'only for these services', { placeholder: 'SERVICE', repeated: true }),
    join: option(toggle.default(false), 'print a join string: address of the zone, token, and pin in one'),
    joinAddress: option(list.default([]), 'the zone as the proxy sees it; several are tried in turn', {
      placeholder: 'HOST:PORT|URL',
      repeated: true,
      shownDefault: 'as of `token zone`',
    }),
    zoneAddress: option(
      text.optional(),
      'the API of the zone of the proxy, when --address is the global, which signs the tokens of its zones',
      { placeholder: 'URL' },
    ),
    joinPin: option(text.optional(), "SHA-256 of the zone's authority, when the token comes from another plane", {
      placeholder: 'HEX',
    }),
    ...tokenOptions,
  },
  async run(values, context) {
    const client = createClient(values)
    const zone = values.zoneAddress === undefined ? client : zoneClient(values, values.zoneAddress)
    const tags = values.service.length > 0 ? { 'kuma.io/service': values.service } : {}
    const reply = await client.need('POST', '/tokens/dataplane', {
      name: values.name,
      mesh: values.mesh,
      tags,
      type: 'dataplane',
      validFor: validity(values.validFor),
    })
    const token = reply.text.trim()
    const [address, ...otherAddresses] = values.joinAddress.map((one) => joinUrl('proxies', one))
    if (!values.join) deliver(context, values.out, token)
    else if (address !== undefined && values.joinPin)
      deliver(context, values.out, encodeJoin({ address, otherAddresses, token, pin: values.joinPin }))
    else deliver(context, values.out, await joinString(zone, 'proxies', values.joinAddress, token, context.note))
    return 0
  },
})

export const tokenUser = defineCommand({
  name: 'token user',
  summary: 'make a token for a person or a program that calls the API',
  usage: 'NAME [--group GROUP]',
  examples: ['zonemesh token user ada --group mesh-system:admin --valid-for 24h > ada.token'],
  arity: { min: 1, max: 1 },
  options: {
    group: option(list.default([]), 'a group; mesh-system:admin may write', { placeholder: 'GROUP', repeated: true }),
    ...tokenOptions,
    validFor: option(positiveDuration.prefault('30d'), 'how long it is valid, such as 12h, 30d or 1y', {
      placeholder: 'DURATION',
      shownDefault: '30d',
    }),
  },
  async run(values, context) {
    const [name = ''] = context.positionals
    const reply = await createClient(values).need('POST', '/tokens/user', {
      name,
      groups: values.group,
      validFor: validity(values.validFor),
    })
    deliver(context, values.out, reply.text.trim())
    return 0
  },
})
