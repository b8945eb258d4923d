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
  // Secrets are sealed with the key of the plane that owns them. Certificates of listeners reach zones as rows of
  // another kind, sealed for each zone.
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
  // Signing keys are stored here. Zones get only public keys, as rows of another kind.
  travel: 'internal',
  writable: { global: true, zone: false },
  adminOnly: true,
  fixedName: true,
  schema: secretSchema,
})
