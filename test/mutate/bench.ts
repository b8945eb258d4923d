// Runs in a separate process, so that a mutant that loops for ever can be killed. It runs tests repeatedly in one warm
// vitest, which gets the mutated text of a file instead of the file on disk; the file on disk never changes.
import { join } from 'node:path'
import { createVitest, type Reporter } from 'vitest/node'
import { root } from './areas.ts'

export interface Task {
  readonly tests: readonly string[]
  /** Absent: the tests run without a mutant. */
  readonly mutated?: { readonly file: string; readonly code: string }
}
export interface Verdict {
  /** The titles of failed tests; for a file that does not load, its name. */
  readonly failed: readonly string[]
  /** How long the tests of each file took. */
  readonly durationMsByTest: Readonly<Record<string, number>>
}

let mutated: Task['mutated']
const silent: Reporter = {}
const vitest = await createVitest(
  'test',
  {
    root,
    watch: false,
    reporters: [silent],
    pool: 'threads',
    maxWorkers: 2,
    bail: 1,
    silent: true,
    fsModuleCache: false,
  },
  {
    plugins: [
      {
        name: 'mutant',
        enforce: 'pre',
        transform: (_code, id) => (mutated && id === join(root, mutated.file) ? mutated.code : undefined),
      },
    ],
  },
)

await vitest.standalone()

async function run({ tests, mutated: next }: Task): Promise<Verdict> {
  mutated = next
  if (next) vitest.invalidateFile(join(root, next.file))
  try {
    const wanted = new Set(tests.map((test) => join(root, test)))
    const specifications = (await vitest.globTestSpecifications()).filter(({ moduleId }) => wanted.has(moduleId))
    if (specifications.length !== tests.length)
      throw new Error(`vitest knows ${specifications.length} of the ${tests.length} test files`)
    const result = await vitest.runTestSpecifications(specifications)
    // The result also contains the modules of earlier runs.
    const testModules = result.testModules.filter(({ moduleId }) => wanted.has(moduleId))
    const failed = testModules.flatMap((module) => {
      const titles = [...module.children.allTests('failed')].map((test) => test.fullName)
      return titles.length > 0 || module.ok() ? titles : [module.relativeModuleId]
    })
    const durations = testModules.map((module) => [module.relativeModuleId, module.diagnostic().duration] as const)
    return {
      failed: result.unhandledErrors.length > 0 ? [...failed, 'an error outside of tests'] : failed,
      durationMsByTest: Object.fromEntries(durations),
    }
  } finally {
    mutated = undefined
    if (next) vitest.invalidateFile(join(root, next.file))
  }
}

process.on('message', (task: Task) => {
  run(task).then(
    (verdict) => process.send?.({ verdict }),
    (thrown: unknown) =>
      process.send?.({ error: thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown) }),
  )
})
process.send?.({ ready: true })
