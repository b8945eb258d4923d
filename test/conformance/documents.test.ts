import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { admit, refusalLines } from '@zonemesh/core/admit/admit.ts'
import { expect, test } from 'vitest'
import { parseAllDocuments } from 'yaml'

const folder = join(import.meta.dirname, 'documents')
const documents = readdirSync(folder).flatMap((file) =>
  parseAllDocuments(readFileSync(join(folder, file), 'utf8')).map((document, index) => ({
    title: `${file} #${index + 1}`,
    content: document.toJS(),
  })),
)

// The universal YAML of the documents that users start from. Names with "filled-" were printed with "..." and hold the least
// that makes them whole; all others stand as printed.
test.each(documents)('A5 a document of a user is accepted as printed: $title', ({ content }) => {
  const result = admit(content)
  expect(result.ok ? [] : refusalLines(result.error)).toEqual([])
})

// The blocks of these pages that mean nothing without Kubernetes: refused, each with the sentence that says what to do instead.
const foreign = parseAllDocuments(
  readFileSync(join(import.meta.dirname, 'documents-of-kubernetes', 'refused.yaml'), 'utf8'),
).map((document) => document.toJS() as { readonly kind: string }) // of Kubernetes, all of them

test.each(foreign)('A6 a foreign document is refused with a sentence that names its place: $kind', (document) => {
  const result = admit(document)
  const lines = result.ok ? [] : refusalLines(result.error)
  expect(lines).toEqual([expect.stringMatching(new RegExp(`^${document.kind} \\(.*\\) belongs to Kubernetes: .{30,}`))])
})
