import { messageOf } from '@zonemesh/shared/base/base.ts'
import { type Clock, delay } from '@zonemesh/shared/env/clock.ts'
import type { Random } from '@zonemesh/shared/env/random.ts'
import type { HistoryEvent } from '@zonemesh/shared/guarantees/history.ts'
import type { Plane } from './plane.ts'
import type { Stack } from './stack.ts'
import { pathOf } from './targets.ts'

/** The mesh of the rows of a run, so that the history of the mesh under test stays readable. No proxy is in it. */
export const chaosMesh = 'zonemesh-chaos'
/** The only row of a run in the mesh under test: a gateway serves only routes of its own mesh. */
export const routeName = 'zonemesh-chaos'
const turningName = 'turning'
export const pairNames = ['pair-left', 'pair-right'] as const

/** Random bytes cannot be compressed, so that a slow line has an effect. */
const fillerBytes = 1_200
const smallBytes = 200
const everyMs = 500
/** Every tenth change of the turning row also changes the route that the gateway serves. */
const turnsPerRoute = 10

/** A route to each destination, with a turn number that its requests carry to the service and back. */
const routeDocument = (scene: Stack['scene'], turn: number) => ({
  type: 'MeshGatewayRoute',
  mesh: scene.mesh,
  name: routeName,
  selectors: [{ match: { 'kuma.io/service': scene.gateway, listener: scene.listener } }],
  conf: {
    http: {
      hostnames: [scene.hostname],
      rules: scene.services
        .filter(({ entrance }) => entrance === undefined)
        .map((to) => ({
          matches: [{ path: { match: 'PREFIX', value: pathOf(to) } }],
          filters: [{ requestHeader: { set: [{ name: 'x-demo-route', value: `turn-${turn}` }] } }],
          backends: [
            { destination: { 'kuma.io/service': to.service, ...(to.version ? { version: to.version } : {}) } },
          ],
        })),
    },
  },
})

/** A row that no gateway uses: it only tests sync. */
const rowDocument = (name: string, turn: number, filler: string) => ({
  type: 'MeshGatewayRoute',
  mesh: chaosMesh,
  name,
  selectors: [{ match: { 'kuma.io/service': 'chaos-unused', turn: `turn-${turn}` } }],
  conf: {
    http: {
      rules: [
        {
          matches: [{ path: { match: 'PREFIX', value: '/' } }],
          filters: [{ requestHeader: { set: [{ name: 'x-filler', value: filler }] } }],
          backends: [{ destination: { 'kuma.io/service': 'chaos-unused' } }],
        },
      ],
    },
  },
})

interface Deps {
  readonly clock: Clock
  readonly random: Random
  readonly global: Plane
  readonly record: (event: HistoryEvent) => void
}

/**
 * Changes a row repeatedly, with every second change two rows in one commit, and from time to time the route that the
 * gateway serves. Failures are only counted, because the global may be unavailable.
 */
export function startChanges(deps: Deps, scene: Stack['scene']) {
  const { clock, global } = deps
  const end = new AbortController()
  let turn = 0
  let pair = 0
  let route = 0
  let committed = 0
  let failed = 0
  let lastFailure = ''
  let lastRevision = 0

  async function commit(documents: readonly object[]): Promise<boolean> {
    try {
      const { status, body } = await global.ask('POST', '/_commit', {
        documents,
        intent: 'zonemesh chaos',
        atomic: true,
      })
      const revision = typeof body['revision'] === 'string' ? body['revision'] : ''
      const [, store = '', number = ''] = /^(.*)@(\d+)\./.exec(revision) ?? []
      if (status >= 300 || store === '') throw new Error(`${status} ${JSON.stringify(body).slice(0, 300)}`)
      committed += 1
      lastRevision = Number(number)
      deps.record({
        type: 'written',
        atMs: clock.monotonicMs(),
        plane: 'global',
        store,
        life: 0,
        revision: lastRevision,
        mark: true,
        versions: [],
      })
      return true
    } catch (thrown) {
      failed += 1
      lastFailure = messageOf(thrown)
      return false
    }
  }

  const filler = (bytes: number) => Buffer.from(deps.random.bytes(bytes)).toString('base64url')

  async function changeBoth(): Promise<boolean> {
    const same = filler(fillerBytes)
    const next = pair + 1
    const done = await commit(pairNames.map((name) => rowDocument(name, next, same)))
    if (done) pair = next
    return done
  }

  async function changeOne(): Promise<void> {
    if (await commit([rowDocument(turningName, turn + 1, filler(smallBytes))])) turn += 1
  }

  async function changeRoute(): Promise<boolean> {
    const done = await commit([routeDocument(scene, route + 1)])
    if (done) route += 1
    return done
  }

  async function run(): Promise<void> {
    for (let index = 1; !end.signal.aborted; index += 1) {
      await changeOne()
      if (index % 2 === 0) await changeBoth()
      if (index % turnsPerRoute === 0) await changeRoute()
      await delay(clock, everyMs, end.signal).catch(() => undefined)
    }
  }

  let running: Promise<void> = Promise.resolve()
  return {
    /** Creates the mesh of the run and makes the first change of each type. All must succeed. */
    async begin(): Promise<void> {
      await removeRows(global, scene.mesh)
      if (!(await commit([{ type: 'Mesh', name: chaosMesh }])) || !(await changeRoute()) || !(await changeBoth()))
        throw new Error(`the global did not commit the first change: ${lastFailure}`)
    },
    start(): void {
      running = run()
    },
    count: () => ({ committed, failed, lastFailure }),
    /** The state that all planes must have in the end, and the route that the gateway must serve. */
    newest: () => ({ route, pair, revision: lastRevision }),
    async stop(): Promise<void> {
      end.abort()
      await running
    },
    /** Removes all rows of the run. The global may just have been started again, so this is tried for some seconds. */
    async clear(): Promise<void> {
      const endMs = clock.monotonicMs() + clearLimitMs
      for (;;) {
        const failure = await removeRows(global, scene.mesh).catch((thrown: unknown) => messageOf(thrown))
        if (failure === undefined) return
        if (clock.monotonicMs() > endMs)
          throw new Error(`cannot remove the mesh "${chaosMesh}" of this run; the next run removes it: ${failure}`)
        await delay(clock, everyMs, new AbortController().signal)
      }
    },
  }
}
export type Changes = ReturnType<typeof startChanges>

const clearLimitMs = 10_000

/** Removes the rows of a run, also of one that was killed. They are one commit. */
async function removeRows(global: Plane, mesh: string): Promise<undefined> {
  const names = async (path: string): Promise<readonly string[]> => {
    const { status, body } = await global.ask('GET', path)
    if (status === 404) return []
    if (status !== 200 || !Array.isArray(body['items']))
      throw new Error(`GET ${path}: expected a list, found ${status}`)
    return body['items'].map((item) => String(Reflect.get(Object(item), 'name')))
  }
  const routesOf = async (name: string) =>
    (await names(`/meshes/${name}/meshgatewayroutes?size=1000`)).map((one) => ({
      ...{ type: 'MeshGatewayRoute', mesh: name, name: one },
    }))
  const meshes = (await names('/meshes?size=1000')).filter((name) => name === chaosMesh)
  const deletions = [
    ...(await routesOf(mesh)).filter(({ name }) => name === routeName),
    ...(meshes.length > 0 ? await routesOf(chaosMesh) : []),
    ...meshes.map((name) => ({ type: 'Mesh', name })),
  ]
  if (deletions.length === 0) return
  const intent = 'zonemesh chaos: remove the rows of the run'
  const { status, body } = await global.ask('POST', '/_commit', { documents: [], deletions, declared: true, intent })
  if (status >= 300) throw new Error(`${status} ${JSON.stringify(body).slice(0, 300)}`)
}
