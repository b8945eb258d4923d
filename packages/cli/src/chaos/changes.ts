import { messageOf } from '@zonemesh/shared/base/base.ts'
import { type Clock, delay } from '@zonemesh/shared/env/clock.ts'
import type { Random } from '@zonemesh/shared/env/random.ts'
import type { HistoryEvent } from '@zonemesh/shared/guarantees/history.ts'
import type { Plane } from './plane.ts'
import type { Stack } from './stack.ts'
import { pathOf } from './targets.ts'

export const routeName = 'chaos-route'
export const pairNames = ['chaos-pair-left', 'chaos-pair-right'] as const

/** Random bytes cannot be compressed, so that a slow line has an effect. */
const fillerBytes = 1_200
const everyMs = 500

/** A route to a service of each zone, with a turn number that its requests carry. */
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

/** Rows that no gateway uses: they only test sync. */
const pairDocument = (scene: Stack['scene'], name: string, turn: number, filler: string) => ({
  type: 'MeshGatewayRoute',
  mesh: scene.mesh,
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
 * Changes a route repeatedly, and with every second change two rows in one commit. Failures are only counted, because
 * the global may be unavailable.
 */
export function startChanges(deps: Deps, scene: Stack['scene']) {
  const { clock, global } = deps
  const end = new AbortController()
  let turn = 0
  let pair = 0
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

  async function changeBoth(): Promise<boolean> {
    const filler = Buffer.from(deps.random.bytes(fillerBytes)).toString('base64url')
    const next = pair + 1
    const done = await commit(pairNames.map((name) => pairDocument(scene, name, next, filler)))
    if (done) pair = next
    return done
  }

  async function changeRoute(): Promise<boolean> {
    const next = turn + 1
    const done = await commit([routeDocument(scene, next)])
    if (done) turn = next
    return done
  }

  async function run(): Promise<void> {
    for (let index = 0; !end.signal.aborted; index += 1) {
      await changeRoute()
      if (index % 2 === 0) await changeBoth()
      await delay(clock, everyMs, end.signal).catch(() => undefined)
    }
  }

  let running: Promise<void> = Promise.resolve()
  return {
    /** Makes the first change of each type. Both must succeed. */
    async begin(): Promise<void> {
      if (!(await changeRoute()) || !(await changeBoth()))
        throw new Error(`the global did not commit the first change: ${lastFailure}`)
    },
    start(): void {
      running = run()
    },
    count: () => ({ committed, failed, lastFailure }),
    /** The state that all planes must have in the end. */
    newest: () => ({ turn, pair, revision: lastRevision }),
    async stop(): Promise<void> {
      end.abort()
      await running
    },
    async clear(): Promise<void> {
      const deletions = [routeName, ...pairNames].map((name) => ({ type: 'MeshGatewayRoute', mesh: scene.mesh, name }))
      await global.ask('POST', '/_commit', {
        documents: [],
        deletions,
        declared: true,
        intent: 'zonemesh chaos: remove the rows of the run',
      })
    },
  }
}
export type Changes = ReturnType<typeof startChanges>
