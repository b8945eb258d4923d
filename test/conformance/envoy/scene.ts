import { typeUrls, type XdsResource } from '@zonemesh/core/emit/table.ts'
import { table } from './resources.ts'
import { type Envoy, probe, startEnvoy, startZone, until, type Zone, type ZoneOptions } from './rig.ts'

export type Kind = keyof typeof typeUrls
const shortNames: Record<string, string> = {
  [typeUrls.cluster]: 'CDS',
  [typeUrls.assignment]: 'EDS',
  [typeUrls.secret]: 'SDS',
  [typeUrls.listener]: 'LDS',
  [typeUrls.route]: 'RDS',
  [typeUrls.runtime]: 'RTDS',
}

/** A zone, one Envoy, and a table that tests change piece by piece. */
export interface Scene extends AsyncDisposable {
  readonly zone: Zone
  readonly envoy: Envoy
  put(kind: Kind, ...resources: XdsResource[]): Scene
  drop(kind: Kind, ...names: string[]): Scene
  /** Passes the table to the zone and clears the recorded flow. Returns the mark of the table. */
  commit(): number
  /** Calls `commit` and waits until the table is served. */
  settle(): Promise<void>
  /** The messages since the last commit: `-> CDS A B -C`, `<- EDS +A irv:A`, `<- CDS ack`, `<- LDS nack`. */
  flow(): string[]
  /** Only what the server sent. */
  sends(): string[]
  /** The time of the first matching line of the flow, in milliseconds. */
  timeOf(pattern: RegExp): number
  stat(name: string): Promise<number>
}

export async function startScene(options: ZoneOptions = {}): Promise<Scene> {
  const zone = await startZone(options)
  const envoy = await startEnvoy(zone)
  const resources = new Map<Kind, Map<string, XdsResource>>()
  let mark = 0
  const of = (kind: Kind) => {
    const found = resources.get(kind) ?? new Map<string, XdsResource>()
    resources.set(kind, found)
    return found
  }
  const scene: Scene = {
    zone,
    envoy,
    put(kind, ...list) {
      for (const item of list) of(kind).set(item.name, item)
      return scene
    },
    drop(kind, ...names) {
      for (const name of names) of(kind).delete(name)
      return scene
    },
    commit() {
      zone.forget()
      mark += 1
      zone.table.set(table(mark, Object.fromEntries([...resources].map(([kind, map]) => [kind, [...map.values()]]))))
      return mark
    },
    async settle() {
      const wanted = scene.commit()
      await until(`mark ${wanted} is served`, () => zone.served.includes(wanted))
    },
    flow: () => zone.trace.flatMap(({ entry }) => line(entry)),
    sends: () => scene.flow().filter((text) => text.startsWith('->')),
    timeOf(pattern) {
      const found = zone.trace.find(({ entry }) => line(entry).some((text) => pattern.test(text)))
      if (!found) throw new Error(`${pattern} is not in the flow:\n${scene.flow().join('\n')}`)
      return found.at
    },
    async stat(name) {
      const text = await envoy.admin(`/stats?filter=^${name}$`)
      return Number(/: (\d+)/.exec(text)?.[1] ?? Number.NaN)
    },
    async [Symbol.asyncDispose]() {
      await envoy[Symbol.asyncDispose]()
      await zone[Symbol.asyncDispose]()
    },
  }
  return scene
}

function line(entry: Zone['trace'][number]['entry']): string[] {
  if (entry.type === 'send') {
    const names = [...entry.changed.map((one) => one.name), ...entry.removed.map((name) => `-${name}`)]
    return [['->', shortNames[entry.typeUrl], ...names].join(' ')]
  }
  if (entry.type !== 'request') return []
  const { request } = entry
  const words = ['<-', shortNames[request.typeUrl] ?? request.typeUrl]
  words.push(...request.subscribe.map((name) => `+${name}`), ...request.unsubscribe.map((name) => `-${name}`))
  const held = Object.keys(request.initial).sort()
  if (held.length > 0) words.push(`irv:${held.join(',')}`)
  if (request.nonce) words.push(request.error === undefined ? 'ack' : 'nack')
  return [words.join(' ')]
}

/** Sends requests to a port until stopped, and returns every response that was not the expected one. */
export function keepAsking(port: number, wanted: string): { stop(): Promise<string[]> } {
  const wrong: string[] = []
  let stopped = false
  const running = (async () => {
    while (!stopped) {
      const answer = await probe(port)
      if (answer !== wanted) wrong.push(answer)
    }
  })()
  return {
    async stop() {
      stopped = true
      await running
      return wrong
    },
  }
}
