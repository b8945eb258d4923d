const certificateBlock = /-----BEGIN ((?:[^-\n]+ )?CERTIFICATE)-----[^-]*-----END \1-----/g
const keyBlock = /-----BEGIN ([^-\n]*PRIVATE KEY)-----[^-]*-----END \1-----/

/** The certificates in a text, each as a text of its own. */
export const certificatesIn = (text: string): string[] =>
  // Some tools write labels such as TRUSTED CERTIFICATE, which not every reader accepts.
  [...text.matchAll(certificateBlock)].map(([whole, type = '']) => `${whole.replaceAll(type, 'CERTIFICATE')}\n`)

/** The first private key in a text. */
export const keyIn = (text: string): string | undefined => {
  const found = keyBlock.exec(text)?.[0]
  return found && `${found}\n`
}
