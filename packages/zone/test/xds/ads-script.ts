import { type TypeUrl, typeUrls, type XdsResource } from '@zonemesh/core/emit/table.ts'
import {
  type AdsEffect,
  type AdsEvent,
  type AdsOptions,
  type AdsRequest,
  createAdsState,
  defaultAdsOptions,
} from '../../src/xds/ads-state.ts'
import { adsStep } from '../../src/xds/ads-step.ts'

type TypeName = keyof typeof typeUrls
type Tables = Partial<Record<TypeName, readonly XdsResource[]>>

/** A resource in a version: `one('a', 1)` is shown as `a@1`. */
export const one = (name: string, version: number, refs: Partial<XdsResource> = {}): XdsResource => ({
  ...{ name, version: `${name}@${version}`, bytes: new Uint8Array() },
  ...refs,
})
/** A cluster with a health check, which warms slowly. */
export const slow = (name: string, version: number, refs: Partial<XdsResource> = {}): XdsResource =>
  one(name, version, { bytes: Uint8Array.from([0x42, 0]), ...refs })

const nameOf = (typeUrl: string): string =>
  Object.entries(typeUrls).find(([, url]) => url === typeUrl)?.[0] ?? 'unknown'

/** One line for each effect, such as `cluster 1: a@1 -b`. */
function shown(effect: AdsEffect): string {
  switch (effect.type) {
    case 'send': {
      const { typeUrl, nonce, changed, removed } = effect
      const texts = [...changed.map(({ name, version }) => (version === 'empty' ? `${name} empty` : version))]
      return [`${nameOf(typeUrl)} ${nonce}:`, ...texts, ...removed.map((name) => `-${name}`)].join(' ')
    }
    case 'timer':
      return `timer ${effect.id} ${effect.delayMs}`
    case 'accepted':
      return `accepted ${effect.versions.join(' ')}`
    case 'refused': {
      const { version, reason, detail, contributions } = effect.refusal
      return ['refused', version, reason, detail, ...contributions].join(' ')
    }
    case 'absolved':
      return `absolved ${effect.name}`
    case 'served':
      return `served ${effect.mark}`
  }
}

/** One stream. Each call is an event and returns the effects of it as lines. */
export function createScript(options: Partial<AdsOptions> = {}) {
  const proven = new Set<string>()
  const state = createAdsState({ ...defaultAdsOptions, isProven: (version) => proven.has(version), ...options })
  function run(event: AdsEvent): string[] {
    const effects = adsStep(state, event)
    for (const effect of effects) if (effect.type === 'accepted') for (const one of effect.versions) proven.add(one)
    return effects.map(shown)
  }
  const request = (type: TypeName | 'unknown', change: Partial<AdsRequest> = {}): string[] => {
    const typeUrl = type === 'unknown' ? type : typeUrls[type]
    const nothing = { nonce: '', subscribe: [], unsubscribe: [], initial: {} }
    return run({ type: 'request', request: { typeUrl, ...nothing, ...change } })
  }
  return {
    state,
    proven,
    request,
    table: (mark: number, tables: Tables): string[] => {
      const entries = Object.entries(tables).map(([type, list]): [TypeUrl, ReadonlyMap<string, XdsResource>] => [
        typeUrls[type as TypeName], // the keys of Tables are names of types
        new Map(list.map((resource) => [resource.name, resource])),
      ])
      return run({ type: 'table', table: { mark, resources: new Map(entries) } })
    },
    ack: (type: TypeName, nonce: number) => request(type, { nonce: String(nonce) }),
    nack: (type: TypeName, nonce: number, error = 'wrong') => request(type, { nonce: String(nonce), error }),
    timer: (id: string) => run({ type: 'timer', id }),
  }
}

export const clusterOf = (name: string, version = 1): XdsResource => one(name, version, { assignment: `e-${name}` })
export const listenerOf = (name: string, version: number, ...clusters: string[]): XdsResource =>
  one(name, version, { clusters })

/** A proxy that has the clusters a and b, and a listener that names a. Everything is accepted at mark 1. */
export function startedScript() {
  const script = createScript()
  script.request('cluster')
  script.request('listener')
  script.request('assignment', { subscribe: ['e-a', 'e-b'] })
  const tables = {
    cluster: [clusterOf('a'), clusterOf('b')],
    assignment: [one('e-a', 1), one('e-b', 1)],
    listener: [listenerOf('l', 1, 'a', 'b')],
  }
  script.table(1, tables)
  script.ack('cluster', 1)
  script.ack('assignment', 2)
  script.ack('assignment', 3)
  script.ack('listener', 4)
  return { ...script, tables }
}
