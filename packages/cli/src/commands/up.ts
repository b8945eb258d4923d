import { spawn } from 'node:child_process'
import { closeSync, existsSync, mkdirSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { list, option, text, texts, toggle } from '@zonemesh/plane/config/options.ts'
import { messageOf } from '@zonemesh/shared/base/base.ts'
import { clientOptions } from '../base/client.ts'
import { CommandError, type Context, defineCommand, type ExitCode } from '../base/command.ts'
import { ownCommand } from '../base/node-flags.ts'
import { dataFolderOf, findRunning, sceneOptions } from '../base/running-scene.ts'
import { readVariables } from '../files/documents.ts'
import { runScene } from '../scene/run.ts'
import { showMachines } from '../scene/show-machines.ts'

/** Set for the process that `--detach` leaves running. */
const inBackground = 'ZONEMESH_UP_IN_BACKGROUND'

export const up = defineCommand({
  name: 'up',
  summary: 'start a global, zones, proxies and policies on this machine from a scene file, and keep them running',
  usage: '[-f FILE] [--detach | --on ROLE=HOST… [--output-dir DIR]]',
  examples: [
    'zonemesh init && zonemesh up',
    'zonemesh up --detach',
    'zonemesh logs east',
    'zonemesh down',
    'zonemesh up --on global=192.0.2.10 --on east=192.0.2.10 --on west=192.0.2.11',
  ],
  arity: { min: 0, max: 0 },
  options: {
    ...sceneOptions,
    detach: option(toggle.default(false), 'go to the background when everything runs', { short: 'd' }),
    var: option(texts.default([]), 'a value for {{NAME}} in the scene and its files', {
      placeholder: 'NAME=VALUE',
      repeated: true,
    }),
    on: option(
      list.default([]),
      'start nothing; print the commands and files of each machine instead, with join strings: a machine for `global` and for each zone of the scene',
      { placeholder: 'ROLE=HOST', repeated: true },
    ),
    outputDir: option(text.optional(), 'with --on, write a folder with a script for each machine', {
      placeholder: 'DIR',
    }),
    ...clientOptions,
  },
  async run(values, context) {
    const variables = readVariables(values.var)
    if (values.on.length > 0) {
      if (values.detach) throw new CommandError('expected --detach or --on, found both', 2)
      await showMachines({ ...values, variables }, context)
      return 0
    }
    if (values.outputDir !== undefined) throw new CommandError('--output-dir needs --on', 2)
    const folder = dataFolderOf(values)
    const running = findRunning(folder)
    if (running)
      throw new CommandError(
        `the scene of ${folder} runs already (process ${running.pid}); look at it with \`zonemesh status\`, or stop it with \`zonemesh down\``,
      )
    if (values.detach) return detach(folder, values, context)
    const scene = { file: values.file, folder, variables }
    const ending = process.env[inBackground] ? [] : ['', 'It runs until Ctrl-C.']
    await runScene(scene, context, ending)
    return 0
  },
})

const lookEveryMs = 100

/** Starts this command in the background, shows its output until the scene is ready, and leaves it running. */
async function detach(
  folder: string,
  values: { readonly file: string; readonly dataDir: string | undefined; readonly var: readonly string[] },
  { print, note, signal }: Context,
): Promise<ExitCode> {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const logFile = join(folder, 'up.log')
  const log = openSync(logFile, 'w', 0o600)
  const given = ['--file', values.file, '--data-dir', folder, ...values.var.flatMap((one) => ['--var', one])]
  const child = spawn(process.execPath, ownCommand(['up', ...given]), {
    detached: true,
    stdio: ['ignore', log, log],
    env: { ...process.env, [inBackground]: 'yes' },
  })
  closeSync(log)
  const ended = new Promise<number>((resolve) => {
    child.once('exit', (code) => resolve(code ?? 1))
    child.once('error', (error) => {
      note(messageOf(error))
      resolve(1)
    })
  })
  let shown = 0
  const show = () => {
    const text = existsSync(logFile) ? readFileSync(logFile, 'utf8') : ''
    const end = text.lastIndexOf('\n') + 1
    if (end > shown) print(text.slice(shown, end - 1))
    shown = Math.max(shown, end)
  }
  for (;;) {
    const pause = new Promise<'look'>((resolve) => setTimeout(resolve, lookEveryMs, 'look'))
    const outcome = await Promise.race([ended, pause])
    show()
    if (outcome !== 'look') return outcome === 0 ? 0 : 1
    if (signal.aborted) {
      child.kill('SIGTERM')
      await ended
      return 1
    }
    if (findRunning(folder)?.ready) {
      child.unref()
      print('\nIt runs in the background: `zonemesh down` stops it, `zonemesh logs ROLE` shows a log.')
      return 0
    }
  }
}
