import type { Command } from '../packages/cli/src/base/command.ts'
import { loadCommands } from '../packages/cli/src/command-line.ts'
import { scripts } from '../packages/cli/src/output/completion-scripts.ts'
import { flagName, type Option, variableName } from '../packages/plane/src/config/options.ts'
import { commitTime, manifest } from './project.ts'

export interface ManPage {
  /** The name of the file: `zonemesh-status.1`. */
  readonly file: string
  readonly text: string
}

/** The manual pages, from the declarations that `--help` uses: one for each command, and `zonemesh(1)` over them. */
export async function manPages(): Promise<readonly ManPage[]> {
  const commands = await loadCommands()
  return [overviewPage(commands), ...commands.map(commandPage)]
}

/** The files of shells that complete commands, by their place in a Debian package. */
export const completionFiles: Readonly<Record<string, string>> = {
  'usr/share/bash-completion/completions/zonemesh': scripts.bash,
  'usr/share/zsh/vendor-completions/_zonemesh': scripts.zsh,
  'usr/share/fish/vendor_completions.d/zonemesh.fish': scripts.fish,
}

const pageName = ({ name }: Command): string => `zonemesh-${name.replaceAll(' ', '-')}`

/** Text for a page: no character of it is a command or an escape of roff. */
function plain(text: string): string {
  const escaped = text.replaceAll('\\', '\\e').replaceAll('-', '\\-').replaceAll('`', '\\(ga').replaceAll("'", '\\(aq')
  return escaped.replace(/^\./gm, '\\&.')
}

const head = (title: string): string => {
  const date = new Date(commitTime() * 1_000).toISOString().slice(0, 10)
  return `.TH "${plain(title.toUpperCase())}" 1 "${date}" "zonemesh ${manifest.version}" "Zonemesh"`
}

const sentence = (text: string): string => `${text.slice(0, 1).toUpperCase()}${text.slice(1)}.`
const section = (title: string, ...lines: readonly string[]): readonly string[] =>
  lines.length === 0 ? [] : [`.SH ${title}`, ...lines]

const exitStatus = section(
  '"EXIT STATUS"',
  ...['.TP', '0', 'success', '.TP', '1', 'refused or failed', '.TP', '2', 'wrong usage'],
)

function commandPage(command: Command): ManPage {
  const lines = [
    head(pageName(command)),
    ...section('NAME', `${plain(pageName(command))} \\- ${plain(command.summary)}`),
    ...section('SYNOPSIS', `.B zonemesh ${plain(command.name)}`, ...(command.usage ? [plain(command.usage)] : [])),
    ...section('DESCRIPTION', plain(sentence(command.summary))),
    ...section('OPTIONS', ...Object.entries(command.options).flatMap(([name, one]) => optionLines(name, one))),
    ...section('EXAMPLES', ...(command.examples.length ? ['.nf', ...command.examples.map(plain), '.fi'] : [])),
    ...exitStatus,
    ...section('"SEE ALSO"', '.BR zonemesh (1)'),
  ]
  return { file: `${pageName(command)}.1`, text: `${lines.join('\n')}\n` }
}

function optionLines(name: string, { short, placeholder, help, shownDefault }: Option): readonly string[] {
  const flags = [...(short ? [`-${short}`] : []), flagName(name)].map((one) => `\\fB${plain(one)}\\fR`).join(', ')
  return [
    '.TP',
    placeholder === undefined ? flags : `${flags} \\fI${plain(placeholder)}\\fR`,
    plain(`${sentence(help)}${shownDefault === undefined ? '' : ` Default: ${shownDefault}.`}`),
    plain(`Variable: ${variableName(name)}.`),
  ]
}

function overviewPage(commands: readonly Command[]): ManPage {
  const lines = [
    head('zonemesh'),
    ...section('NAME', `zonemesh \\- ${plain(manifest.description)}`),
    ...section('SYNOPSIS', '.B zonemesh', plain('COMMAND [OPTIONS]')),
    ...section(
      'DESCRIPTION',
      plain('One global control plane owns the policies and syncs them to zones, which configure their Envoys.'),
    ),
    ...section(
      'COMMANDS',
      ...commands.flatMap((one) => ['.TP', `.BR ${plain(pageName(one))} (1)`, plain(sentence(one.summary))]),
    ),
    ...section(
      'ENVIRONMENT',
      plain(
        'Every option can also be set by a variable: --log-level is ZONEMESH_LOG_LEVEL. Flags override the environment.',
      ),
      plain('NO_COLOR turns colours off, and FORCE_COLOR turns them on in a pipe.'),
    ),
    ...section(
      'FILES',
      ...['.TP', plain('~/.config/zonemesh/contexts.yaml'), plain('The contexts of a user.')],
      ...['.TP', plain('zonemesh.yaml, .zonemesh'), plain('A scene file, and the folder with the data of its scene.')],
    ),
    ...exitStatus,
  ]
  return { file: 'zonemesh.1', text: `${lines.join('\n')}\n` }
}
