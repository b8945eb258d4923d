import { chaosMesh } from '../changes.ts'
import type { Plane } from '../plane.ts'
import { type Fault, ledger, seconds } from './faults.ts'

const route = { type: 'MeshGatewayRoute', mesh: chaosMesh, name: 'poison' }
const any = [{ match: { 'kuma.io/service': '*' } }]

const nested = (levels: number): unknown => (levels === 0 ? {} : { a: nested(levels - 1) })

/** Documents that no plane may accept, most of them with blank fields, by what is wrong with them. */
const documents: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  'a policy without fields': { type: 'Timeout', mesh: chaosMesh, name: 'poison' },
  'a policy with blank fields': {
    ...{ type: 'Timeout', mesh: chaosMesh, name: 'poison' },
    ...{ sources: [{ match: { '': '' } }], destinations: [{ match: {} }], conf: { connectTimeout: '' } },
  },
  'a permission for nobody': {
    type: 'TrafficPermission',
    mesh: chaosMesh,
    name: 'poison',
    sources: [],
    destinations: [],
  },
  'a route without backends': {
    ...{ ...route, selectors: any, conf: { http: { rules: [{ matches: [{ path: { value: '/' } }], backends: [] }] } } },
  },
  'a route of null': { ...route, selectors: any, conf: null },
  'a regular expression that does not end': {
    ...{ ...route, selectors: any },
    conf: { http: { rules: [{ matches: [{ path: { match: 'REGEX', value: '(' } }], backends: [] }] } },
  },
  'a field of the prototype': { ...route, selectors: any, conf: JSON.parse('{"__proto__":{"http":{}}}') },
  'a thousand levels': { ...route, selectors: any, conf: nested(1_000) },
  'a megabyte in one field': { ...route, selectors: [{ match: { 'kuma.io/service': 'x'.repeat(1_000_000) } }] },
  'an unknown kind': { type: 'MeshPoison', mesh: chaosMesh, name: 'poison' },
}

const pauseMs = 250

async function statusOf(plane: Plane, document: object): Promise<number> {
  const body = { documents: [document], intent: 'zonemesh chaos: a document that must be refused', atomic: true }
  // The largest document takes longer than a usual request.
  return (await plane.ask('POST', '/_commit', body, 10_000)).status
}

/**
 * Sends documents that no plane may accept, again and again. All must be refused as bad requests, and no plane may
 * answer with an error of its own.
 */
export function poison(forMs: number): Fault {
  const statusesByName = new Map<string, number[]>()
  let sent = 0
  return {
    title: `poison the global for ${seconds(forMs)}`,
    forMs,
    async run(scene) {
      const endMs = scene.recorder.now() + forMs
      while (scene.recorder.now() < endMs) {
        for (const [name, document] of Object.entries(documents)) {
          // A global that another fault has stopped does not answer.
          const status = await statusOf(scene.planes.global, document).catch(() => undefined)
          if (status === undefined || status === 502 || status === 503) continue
          sent += 1
          statusesByName.set(name, [...(statusesByName.get(name) ?? []), status])
        }
        await scene.wait(pauseMs)
      }
      const isRefusal = (status: number) => status >= 400 && status < 500
      return [...statusesByName].flatMap(([name, statuses]) => {
        const wrong = statuses.filter((status) => !isRefusal(status))
        return wrong.length === 0 ? [] : [`${name}: expected a refusal (400 to 499), found status ${wrong.join(', ')}`]
      })
    },
    prove() {
      const book = ledger()
      const missing = Object.keys(documents).filter((name) => !statusesByName.has(name))
      book.expect(
        missing.length === 0,
        `the globals answered ${sent} documents of ${statusesByName.size} sorts that must be refused`,
        `no answer to ${missing.join(', ')}`,
      )
      return book
    },
  }
}
