import { bodyBytesMax } from '@zonemesh/plane/api/limits.ts'
import { CommandError } from '../base/command.ts'

/** The time for the whole download. */
export const downloadMs = 20_000

export const isUrl = (source: string): boolean => /^https?:\/\//i.test(source)

const types = /^(text\/(plain|yaml|x-yaml|vnd\.yaml)|application\/(yaml|x-yaml|vnd\.yaml|json|octet-stream))$/

/** The text behind an http or https address. Throws one sentence that names the address and the reason. */
export async function download(source: string, limitMs = downloadMs): Promise<string> {
  // An address may contain a password.
  const shown = source.replace(/\/\/[^/@]*@/, '//…@')
  const fail = (reason: string) => new CommandError(`cannot read ${shown}: ${reason}`)
  if (!URL.canParse(source)) throw fail('expected a URL such as https://example.com/mesh.yaml')
  const { username, password } = new URL(source)
  if (username || password) throw fail('expected a URL without a user and a password')
  const signal = AbortSignal.timeout(limitMs)
  try {
    const response = await fetch(source, {
      signal,
      headers: { accept: 'application/yaml, text/yaml, text/plain, */*' },
    })
    if (!response.ok) throw fail(`the server answered ${response.status} ${response.statusText}`.trim())
    const type = (response.headers.get('content-type') ?? 'text/plain').split(';')[0]?.trim().toLowerCase() ?? ''
    if (!types.test(type)) throw fail(`expected YAML, found ${type}; use the address of the file itself`)
    return await limitedText(response, fail)
  } catch (thrown) {
    if (thrown instanceof CommandError) throw thrown
    throw fail(signal.aborted ? `no complete answer within ${limitMs / 1000} s` : reasonOf(thrown))
  }
}

async function limitedText(response: Response, fail: (reason: string) => CommandError): Promise<string> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of response.body ?? []) {
    bytes += chunk.byteLength
    if (bytes > bodyBytesMax) throw fail(`it is larger than ${bodyBytesMax} bytes, the most that a control plane takes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

const reasons: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'the connection was refused',
  ENOTFOUND: 'the host is not known',
  EAI_AGAIN: 'the name of the host cannot be looked up now',
  ECONNRESET: 'the server closed the connection',
}

/** The reason in words: `fetch` has it in the cause of its error. */
function reasonOf(thrown: unknown): string {
  const cause = thrown instanceof Error && thrown.cause instanceof Error ? thrown.cause : undefined
  const code = cause && 'code' in cause ? String(cause.code) : ''
  if (/CERT|SIGNATURE|SELF_SIGNED|ALTNAME/.test(code)) return `its certificate is not accepted (${code})`
  return reasons[code] ?? `the connection failed${code === '' ? '' : ` (${code})`}`
}
