// Some zones of a measurement, in a process of their own; started and asked by `zone-processes.ts`.
import type { Answer, Question, Start } from './zone-messages.ts'
import { sharedMs } from './zone-messages.ts'
import { type BenchZone, startBenchZone } from './zones.ts'

const zones = new Map<string, BenchZone>()
const tell = (answer: Answer) => void process.send?.(answer)

async function start({ global, folder, tokens }: Start): Promise<void> {
  const starting = tokens.map(async ([name, token]) => {
    const onWritten = (names: readonly string[], atMs: number) =>
      tell({ type: 'written', zone: name, names, atMs: sharedMs(atMs) })
    zones.set(name, await startBenchZone(global, { name, token, folder, onWritten }))
  })
  await Promise.all(starting)
}

async function answer(question: Question): Promise<number> {
  switch (question.type) {
    case 'start':
      await start(question)
      return 0
    case 'current':
      return sharedMs((await zones.get(question.zone)?.untilCurrent(question.revision)) ?? Number.NaN)
    case 'cpu': {
      const { user, system } = process.cpuUsage()
      return (user + system) / 1e6
    }
    case 'stop':
      for (const zone of zones.values()) await zone[Symbol.asyncDispose]()
      return 0
  }
}

process.on('message', (message) => {
  // The parent is our own code and sends nothing else.
  const { id, question } = message as { readonly id: number; readonly question: Question }
  answer(question).then(
    (value) => tell({ type: 'answer', id, value }),
    (cause: unknown) => tell({ type: 'failed', id, reason: String(cause) }),
  )
})
// Whatever ends the measurement ends its zones.
process.on('disconnect', () => process.exit())
