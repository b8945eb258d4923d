import { flagName, type Option, type Options } from '@zonemesh/plane/config/options.ts'
import type { Command } from './base/command.ts'
import { columns } from './output/table.ts'

/** The output of `zonemesh --help`: all commands by group. */
export function overviewText(
  commands: Readonly<Record<string, { readonly summary: string; readonly group: string }>>,
): string {
  const lines = columns(Object.entries(commands).map(([name, { summary }]) => [`  ${name}`, summary]))
  const groups = Object.values(commands).map(({ group }) => group)
  const sections = [...new Set(groups)].map(
    (group) => `${group}:\n${lines.filter((_, index) => groups[index] === group).join('\n')}`,
  )
  return `zonemesh — gateways across zones: one global control plane, its zones, and their Envoys.\n\nUsage: zonemesh COMMAND [OPTIONS]\n\n${sections.join('\n\n')}\n\nRun zonemesh COMMAND --help for details. Exit codes: 0 success, 1 refused or failed, 2 wrong usage.`
}

/** The output of `zonemesh COMMAND --help`. */
export function helpText(command: Command): string {
  const options =
    Object.keys(command.options).length > 0 ? `\n\nOptions:\n${optionLines(command.options).join('\n')}` : ''
  const examples =
    command.examples.length > 0 ? `\n\nExamples:\n${command.examples.map((line) => `  ${line}`).join('\n')}` : ''
  return `${command.summary[0]?.toUpperCase()}${command.summary.slice(1)}.\n\nUsage: zonemesh ${command.name} ${command.usage}${options}${examples}\n\nEvery option can also be set in the environment: --log-level is ZONEMESH_LOG_LEVEL.`
}

const flagWidthMax = 36

/** The help of a very wide flag is printed below it, so that it does not widen the column for all flags. */
function optionLines(options: Options): string[] {
  const flagText = (name: string, one: Option) =>
    `  ${one.short ? `-${one.short}, ` : '    '}${flagName(name)}${one.placeholder ? ` ${one.placeholder}` : ''}`
  return columns(
    Object.entries(options).flatMap(([name, one]) => {
      const flag = flagText(name, one)
      const help = `${one.help}${one.shownDefault ? ` (default ${one.shownDefault})` : ''}`
      return flag.length > flagWidthMax ? [[flag], ['', help]] : [[flag, help]]
    }),
  )
}
