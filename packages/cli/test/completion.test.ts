import { execFile, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync } from 'node:fs'
import { createServer } from 'node:net'
import { promisify } from 'node:util'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { loadCommands } from '../src/command-line.ts'
import { candidates } from '../src/complete.ts'
import { clientOf, createUser, nodeArguments, startTestGlobal, type User } from './rig.ts'

let user: User
beforeEach(() => {
  user = createUser()
})
afterEach(() => user[Symbol.dispose]())

/** A `zonemesh` on the PATH that completes as the real one does, and prints its arguments instead of running them. */
function standIn(): NodeJS.ProcessEnv {
  const real = [process.execPath, ...nodeArguments].map((word) => `'${word}'`).join(' ')
  const script = `#!/bin/sh\ncase $1 in __complete | completion) exec ${real} "$@" ;; esac\nprintf 'ran'\nprintf ' <%s>' "$@"\necho\n`
  chmodSync(user.file('zonemesh', script), 0o755)
  return { ...user.environment, PATH: `${user.home}:${process.env['PATH']}`, TERM: 'xterm' }
}

/** Types lines into an interactive bash on a pseudo-terminal. Returns what the stand-in was run with. */
async function typed(lines: readonly string[]): Promise<readonly string[]> {
  const child = spawn('script', ['--quiet', '--command', 'bash --norc -i', '/dev/null'], {
    cwd: user.home,
    env: standIn(),
    stdio: ['pipe', 'pipe', 'ignore'],
  })
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text
  })
  child.stdin.end(`${['source <(zonemesh completion bash)', ...lines, 'exit'].join('\n')}\n`)
  await once(child, 'close')
  return output.split(/\r?\n/).flatMap((line) => /ran( <.*>)$/.exec(line)?.[1]?.trim() ?? [])
}

test('B76 the Tab key of bash completes commands, options, values, kinds and files', async () => {
  user.file('shop.yaml', '')
  await user.run(['context', 'add', 'prod', '--address', 'http://127.0.0.1:9'])
  const lines = {
    'zonemesh stat\t--outp\tjs\t': '<status> <--output> <json>',
    'zonemesh status --output=ta\t': '<status> <--output=table>',
    'zonemesh status -o js\t': '<status> <-o> <json>',
    'zonemesh get meshgatewayr\t': '<get> <meshgatewayroute>',
    'zonemesh zone rel\t': '<zone> <release>',
    'zonemesh up -f sho\t': '<up> <-f> <shop.yaml>',
    'zonemesh up --file=sho\t': '<up> <--file=shop.yaml>',
    'zonemesh context use pr\t': '<context> <use> <prod>',
    'zonemesh status --address http://localhost:5681 --js\t': '<status> <--address> <http://localhost:5681> <--json>',
    'zonemesh apply --nothing\t': '<apply> <--nothing>',
  }
  expect(await typed(Object.keys(lines))).toEqual(Object.values(lines))
})

test('B76 the scripts of all shells are valid, and those of zsh and fish are checked where these shells are installed', async () => {
  const isInstalled = (shell: string) => spawnSync(shell, ['-c', 'true']).status === 0
  const installed = ['bash', 'zsh', 'fish'].filter(isInstalled)
  expect(installed).toContain('bash')
  for (const shell of installed) {
    const file = user.file(`script.${shell}`, (await user.run(['completion', shell])).stdout)
    await expect(promisify(execFile)(shell, ['-n', file])).resolves.toMatchObject({ stderr: '' })
  }
  for (const shell of ['zsh', 'fish'])
    expect((await user.run(['completion', shell])).stdout).toContain('zonemesh __complete')
  expect(await user.run(['completion', 'tcsh'])).toMatchObject({
    ...{ code: 2, stderr: 'zonemesh completion: expected one of: bash, zsh, fish, found "tcsh"\n' },
  })
})

const loaders = async () =>
  Object.fromEntries((await loadCommands()).map((command) => [command.name, { load: async () => command }]))

test('B77 names of resources come from the control plane that the command calls', async () => {
  await using stack = new AsyncDisposableStack()
  const global = await startTestGlobal()
  stack.defer(() => global.close())
  await clientOf(global).need('PUT', '/meshes/shop', { type: 'Mesh', name: 'shop' })
  const where = ['--address', `http://127.0.0.1:${global.apiPort}`]
  expect(await candidates(await loaders(), ['get', 'mesh', ...where, ''])).toEqual(['default', 'shop'])
  expect(await candidates(await loaders(), ['history', ...where, 'mesh/s'])).toEqual(['mesh/shop'])
  expect(await candidates(await loaders(), ['get', 'mesh', 'shop', ...where, ''])).toEqual([])
})

test('B77 a control plane that does not answer soon, or not at all, yields no names and no message', async () => {
  const silent = createServer().listen(0, '127.0.0.1')
  await once(silent, 'listening')
  const bound = silent.address()
  const port = bound !== null && typeof bound === 'object' ? bound.port : 0
  for (const address of [`http://127.0.0.1:${port}`, 'http://127.0.0.1:9', 'nowhere'])
    expect(await user.run(['__complete', 'get', 'mesh', '--address', address, ''])).toEqual({
      ...{ code: 0, stdout: '', stderr: '' },
    })
  silent.close()
})
