import { optionReference } from '@zonemesh/plane/config/options.ts'
import type { Command } from './base/command.ts'
import { linkTo } from './reference-link.ts'

/** The reference page, generated from the declarations that `--help` uses. */
export function referencePage(commands: readonly Command[]): string {
  const sections = commands.map((command) => {
    const options = Object.keys(command.options).length
      ? `\n\n| Flag | Variable | In a file | Default | Meaning |\n|---|---|---|---|---|\n${optionReference(command.options).join('\n')}`
      : ''
    return `## zonemesh ${command.name}\n\n${command.summary[0]?.toUpperCase()}${command.summary.slice(1)}.\n\n\`zonemesh ${command.name} ${command.usage}\`${options}`
  })
  const head = `# Reference\n\n\`npm run reference\` writes this page. Do not edit it. Flags override the environment, the environment overrides the file that \`--config-file\`\nnames, and the file overrides the defaults. An empty variable counts as none. ${linkTo('docs/errors.md', 'exit-codes')} has the\nexit codes.`
  return `${[head, ...sections].join('\n\n')}\n`
}
