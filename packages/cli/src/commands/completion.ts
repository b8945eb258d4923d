import { CommandError, defineCommand } from '../base/command.ts'
import { scripts } from '../output/completion-scripts.ts'

const shells = Object.keys(scripts)

export const completion = defineCommand({
  name: 'completion',
  summary: 'print a script for bash, zsh or fish that completes commands, options, kinds and names',
  usage: 'bash|zsh|fish',
  examples: [
    'source <(zonemesh completion bash)',
    'zonemesh completion bash > ~/.local/share/bash-completion/completions/zonemesh',
    'zonemesh completion zsh > "$HOME/.zsh/completions/_zonemesh"',
    'zonemesh completion fish > ~/.config/fish/completions/zonemesh.fish',
  ],
  arity: { min: 1, max: 1 },
  options: {},
  async run(_, { positionals: [shell = ''], print }) {
    const script = Object.entries(scripts).find(([name]) => name === shell)?.[1]
    if (script === undefined) throw new CommandError(`expected one of: ${shells.join(', ')}, found "${shell}"`, 2)
    print(script.trimEnd())
    return 0
  },
})
