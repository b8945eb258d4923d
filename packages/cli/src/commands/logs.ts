import { existsSync, readdirSync, readFileSync, statSync, watch } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { nearest } from '@zonemesh/core/kinds/kind.ts'
import { count, option, toggle } from '@zonemesh/plane/config/options.ts'
import { untilAborted } from '@zonemesh/shared/env/aborted.ts'
import { CommandError, defineCommand } from '../base/command.ts'
import { dataFolderOf, sceneOptions } from '../base/running-scene.ts'

export const logs = defineCommand({
  name: 'logs',
  summary: 'show the log of a process of a scene: global, a zone, a proxy, or a service',
  usage: 'ROLE [-f FILE] [--follow] [--lines N]',
  examples: ['zonemesh logs global', 'zonemesh logs east --follow', 'zonemesh logs gateway-1 --lines 20'],
  arity: { min: 0, max: 1 },
  options: {
    ...sceneOptions,
    follow: option(toggle.default(false), 'go on showing new lines until Ctrl-C'),
    lines: option(count(1).default(200), 'how many lines from the end', {
      placeholder: 'N',
      short: 'n',
      shownDefault: '200',
    }),
  },
  async run(values, { positionals, print, signal }) {
    const folder = dataFolderOf(values)
    const roles = rolesIn(folder)
    if (roles.length === 0) throw new CommandError(`${folder} has no logs; start the scene with \`zonemesh up\``)
    const [role] = positionals
    if (role === undefined) throw new CommandError(`name one of: ${roles.join(', ')}`, 2)
    const name = [role, `zone-${role}`].find((one) => roles.includes(one))
    if (name === undefined) {
      const candidate = nearest(role, roles)
      throw new CommandError(
        `nothing in this scene is called "${role}"${candidate ? `; did you mean "${candidate}"?` : ''} (there are: ${roles.join(', ')})`,
      )
    }
    const file = join(folder, `${name}.log`)
    const text = readFileSync(file, 'utf8').trimEnd()
    if (text !== '') print(text.split('\n').slice(-values.lines).join('\n'))
    if (values.follow) await follow(file, print, signal)
    return 0
  },
})

const rolesIn = (folder: string): readonly string[] =>
  existsSync(folder)
    ? readdirSync(folder)
        .filter((name) => name.endsWith('.log'))
        .map((name) => name.slice(0, -'.log'.length))
        .sort()
    : []

/** Shows what is added to a file, whole lines only. */
async function follow(file: string, print: (line: string) => void, signal: AbortSignal): Promise<void> {
  let at = statSync(file).size
  let rest = ''
  let reading = Promise.resolve()
  const more = async () => {
    await using handle = await open(file)
    const { size } = await handle.stat()
    if (size <= at) return
    const { buffer } = await handle.read(Buffer.alloc(size - at), 0, size - at, at)
    at = size
    const lines = (rest + buffer.toString('utf8')).split('\n')
    rest = lines.pop() ?? ''
    if (lines.length > 0) print(lines.join('\n'))
  }
  using _ = disposable(
    watch(file, () => {
      reading = reading.then(more)
    }),
  )
  reading = reading.then(more)
  await untilAborted(signal)
  await reading
}

const disposable = (watcher: { close(): void }): Disposable => ({ [Symbol.dispose]: () => watcher.close() })
