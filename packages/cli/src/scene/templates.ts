import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { createRoot, createServerCertificate, lifetime } from '@zonemesh/plane/authority/x509.ts'
import { CommandError } from '../base/command.ts'

/** The scenes that `zonemesh init` can write, with what each shows. */
export const templates = {
  'two-zones': 'a gateway in one zone, a service that runs only in the other',
  'gateway-tls': 'a gateway that terminates TLS',
  'delegated-nginx': 'nginx as a gateway, by .mesh names',
  'cross-mesh': 'a service of one mesh that calls another mesh',
  egress: 'a zone whose requests leave through its egress',
} as const
export type Template = keyof typeof templates
// `keys` returns exactly the names above.
export const templateNames = Object.keys(templates) as [Template, ...Template[]]

interface TemplateFile {
  readonly name: string
  readonly text: string
  readonly mode: number
}

/**
 * Writes a template into a folder. Returns the names of its files. Throws a CommandError if one of them exists, unless
 * `force` is set.
 */
export async function writeTemplate(template: Template, folder: string, force: boolean): Promise<readonly string[]> {
  const files = [...filesOf(template), ...(template === 'gateway-tls' ? await certificateFiles() : [])]
  const existing = files.find(({ name }) => existsSync(join(folder, name)))
  if (existing !== undefined && !force)
    throw new CommandError(
      `${join(folder, existing.name)} exists already; name another folder, or replace it with --force`,
    )
  for (const { name, text, mode } of files) {
    const path = join(folder, name)
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, text, { mode })
  }
  return files.map(({ name }) => name)
}

const templatesFolder = join(process.env['ZONEMESH_ROOT'] ?? '.', 'scenes')

function filesOf(template: Template): readonly TemplateFile[] {
  const folder = join(templatesFolder, template)
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => statSync(join(folder, name)).isFile())
    .sort()
    .map((name) => ({ name: relative('.', name), text: readFileSync(join(folder, name), 'utf8'), mode: 0o644 }))
}

const certificateDays = 365

/** A certificate for the hostname of the template, as a Secret, and the authority that has signed it. */
async function certificateFiles(): Promise<readonly TemplateFile[]> {
  const life = lifetime(Date.now(), certificateDays)
  const root = await createRoot('tests on this machine', life)
  const { certificate, key } = await createServerCertificate(root, ['shop.example.com'], life)
  const data = Buffer.from(`${certificate}${key}`).toString('base64')
  const secret = `# yaml-language-server: $schema=../.zonemesh/resources.schema.json\n# The certificate and the key of the gateway, as one PEM text in base64.\ntype: Secret\nmesh: default\nname: shop-certificate\ndata: ${data}\n`
  return [
    { name: 'ca.crt', text: root.certificate, mode: 0o644 },
    { name: 'policies/certificate.yaml', text: secret, mode: 0o600 },
  ]
}
