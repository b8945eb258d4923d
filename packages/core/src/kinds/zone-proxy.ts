import { checkAddress, meetsAdmin, portInRange, portReason } from './common.ts'
import type { Violation } from './kind.ts'

interface Networking {
  readonly address?: string | undefined
  readonly port?: number | undefined
  readonly admin?: { readonly port?: number | undefined } | undefined
}

export const noNetworking: readonly Violation[] = [{ field: 'networking', reason: 'must be defined' }]

/** Checks the address and port of a zone proxy. The doubled segment is Kuma's; clients compare paths. */
export const checkListens = ({ address, port }: Networking): Violation[] => [
  ...(address === undefined ? [] : checkAddress('networking.address.address', address)),
  ...(portInRange(port) ? [] : [{ field: 'networking.port', reason: portReason }]),
]

export const checkAdmin = ({ address = '', port, admin }: Networking): Violation[] =>
  admin?.port && admin.port === port && meetsAdmin(address)
    ? [{ field: 'networking.admin.port', reason: 'must differ from port' }]
    : []
