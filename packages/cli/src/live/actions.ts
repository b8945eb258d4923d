import { join } from 'node:path'
import { messageOf } from '@zonemesh/shared/base/base.ts'
import { errorLines } from '../base/client.ts'
import { createInjector } from '../chaos/injector.ts'
import { findStack } from '../chaos/stack.ts'
import { demoFolder } from '../demo/files.ts'
import type { Demo } from '../demo/run.ts'
import { readDocuments } from '../files/documents.ts'
import type { LiveEvent } from './state.ts'

/** What one key does; it returns what has happened as a sentence. */
interface Action {
  readonly key: string
  readonly name: string
  run(): Promise<string>
}

const splits = [
  [50, 50],
  [10, 90],
  [90, 10],
] as const

/** The actions of the keys. Each acts on the running demo as a user would, through its API and its fault injection. */
export async function createActions(demo: Demo): Promise<readonly Action[]> {
  const { names, global } = demo
  const path = `/meshes/${names.mesh}/meshgatewayroutes/${names.route}`
  const injector = createInjector(await findStack({ stack: demo.stackFile, compose: undefined }))
  let splitCount = 0

  async function writeRoute(changes: Readonly<Record<string, string>>): Promise<void> {
    const variables = { ...demo.variables, version: names.version1, ...changes }
    const [document] = await readDocuments([join(demoFolder, 'policies/40-route.yaml')], variables)
    await global.need('PUT', path, document?.content)
  }

  return [
    {
      key: 's',
      name: 'split',
      async run() {
        const [weight1, weight2] = splits[splitCount++ % splits.length] ?? [50, 50]
        await writeRoute({ weight1: String(weight1), weight2: String(weight2) })
        return `the route sends ${weight1}:${weight2} to ${names.version1} and ${names.version2}`
      },
    },
    {
      key: 'b',
      name: 'break',
      async run() {
        await writeRoute({ version1: 'missing', version2: 'missing' })
        return `the route leads to a version that does not run; ask why: zonemesh explain http://${names.hostname}:${demo.gatewayPort}/split --from east/${names.gateway}`
      },
    },
    {
      key: 'r',
      name: 'roll back',
      async run() {
        const reply = await global.call('POST', '/_rollback', {
          ...{ to: '@-1', kind: 'MeshGatewayRoute', name: names.route, mesh: names.mesh },
        })
        if (reply.status >= 400) return `nothing was rolled back: ${errorLines(reply)}`
        return `the route is as it was before its last change`
      },
    },
    {
      key: 'p',
      name: 'partition east',
      async run() {
        await injector.breakLine('east', { blackHole: ['up', 'down'] })
        return 'the line between east and the global passes nothing, and neither end is notified'
      },
    },
    {
      key: 'h',
      name: 'heal',
      async run() {
        await injector.healLine('east')
        return 'the line between east and the global passes everything again'
      },
    },
    killing('k', 'kill global', demo, 'global'),
    killing('z', 'kill zone west', demo, 'zone-west'),
  ]
}

const killing = (key: string, name: string, { processes }: Demo, role: string): Action => ({
  key,
  name,
  async run() {
    const { pid } = processes.get(role) ?? {}
    if (pid === undefined) return `${role} does not run`
    process.kill(pid, 'SIGKILL')
    return `SIGKILL was sent to ${role}, process ${pid}`
  },
})

/** Runs the action of a key. Its failure is an event like its success. */
export async function act(action: Action, report: (event: LiveEvent) => void): Promise<void> {
  try {
    report({ type: 'acted', atMs: Date.now(), text: `${action.name}: ${await action.run()}`, colour: 'cyan' })
  } catch (thrown) {
    report({ type: 'acted', atMs: Date.now(), text: `${action.name} failed: ${messageOf(thrown)}`, colour: 'red' })
  }
}

/** The line that explains the keys. */
export const keysLine = (actions: readonly Action[]): string =>
  [...actions.map(({ key, name }) => `${key} ${name}`), 'c commands', 'q quit'].join('   ')
