// npm run reference: writes docs/reference.md.
import { mkdirSync, writeFileSync } from 'node:fs'
import { loadCommands } from './command-line.ts'
import { referencePage } from './reference.ts'

const url = new URL('../../../docs/reference.md', import.meta.url)
mkdirSync(new URL('.', url), { recursive: true })
writeFileSync(url, referencePage(await loadCommands()))
