import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { manifest, root } from './project.ts'

const head = `# Changelog

\`npm run changelog\` writes this page from the notes in \`changes/\`. Do not edit it. Notes of the version in package.json are in the
folder itself, and those of an older version in a folder with its number.
`

/** The text of CHANGELOG.md. */
export function composeChangelog(): string {
  const folders = readdirSync(join(root, 'changes'), { withFileTypes: true }).filter((entry) => entry.isDirectory())
  const older = folders.map(({ name }) => name).sort((a, b) => b.localeCompare(a, 'en', { numeric: true }))
  const versions = [
    `## ${manifest.version}\n\n${notesOf('changes')}`,
    ...older.map((name) => `## ${name}\n\n${notesOf(join('changes', name))}`),
  ]
  return [head, ...versions].join('\n')
}

/** The notes of a folder in the order of their numbers, one heading each. */
function notesOf(folder: string): string {
  const files = readdirSync(join(root, folder)).filter((name) => name.endsWith('.md'))
  return files
    .sort()
    .map((name) => `##${readFileSync(join(root, folder, name), 'utf8')}`)
    .join('\n')
}
