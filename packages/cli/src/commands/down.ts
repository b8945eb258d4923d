import { rmSync } from 'node:fs'
import { option, toggle } from '@zonemesh/plane/config/options.ts'
import { CommandError, defineCommand } from '../base/command.ts'
import { dataFolderOf, findRunning, sceneOptions } from '../base/running-scene.ts'

const limitMs = 30_000
const lookEveryMs = 50

export const down = defineCommand({
  name: 'down',
  summary: 'stop what `zonemesh up` runs; stores, keys and ports stay for the next start',
  usage: '[-f FILE] [--delete-data]',
  examples: ['zonemesh down', 'zonemesh down --delete-data'],
  arity: { min: 0, max: 0 },
  options: {
    ...sceneOptions,
    deleteData: option(toggle.default(false), 'also delete the data folder: stores, keys, logs and ports'),
  },
  async run(values, { note, signal }) {
    const folder = dataFolderOf(values)
    const running = findRunning(folder)
    if (running) {
      process.kill(running.pid, 'SIGTERM')
      const endMs = Date.now() + limitMs
      while (findRunning(folder)?.pid === running.pid) {
        if (Date.now() > endMs || signal.aborted)
          throw new CommandError(`process ${running.pid} is still stopping; its log is ${folder}/up.log`)
        await new Promise((resolve) => setTimeout(resolve, lookEveryMs))
      }
      note(`stopped ${running.processes.length} processes`)
    } else note(`nothing runs with the data in ${folder}`)
    if (values.deleteData) {
      rmSync(folder, { recursive: true, force: true })
      note(`deleted ${folder}`)
    }
    return 0
  },
})
