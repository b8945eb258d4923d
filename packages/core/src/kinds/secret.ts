import { z } from 'zod'
import { defineKind, message } from './kind.ts'

const data = z.string().refine((text) => /^[A-Za-z0-9+/\s]*={0,2}\s*$/.test(text), { error: 'expected base64' })
const secretSchema = message({ data: data.default('') })
export type SecretSpec = z.infer<typeof secretSchema>

export const secret = defineKind({
  name: 'Secret',
  path: 'secrets',
  commandName: 'sec',
  scope: 'mesh',
  // Sealed with the key of the plane that owns it. What a listener shows goes to zones by a kind of its own, for each alone.
  travel: 'internal',
  writable: { global: true, zone: false },
  adminOnly: true,
  fixedName: true,
  schema: secretSchema,
})

export const globalSecret = defineKind({
  name: 'GlobalSecret',
  path: 'globalsecrets',
  pathAliases: ['global-secrets'],
  commandName: 'gs',
  scope: 'global',
  // Signing keys live here: the zones get public keys by a kind of their own, never these rows.
  travel: 'internal',
  writable: { global: true, zone: false },
  adminOnly: true,
  fixedName: true,
  schema: secretSchema,
})
