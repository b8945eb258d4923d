import { globalOrigin, keyText } from '@zonemesh/shared/resource/resource.ts'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createCompiler } from '../../src/compile/compiler.ts'
import type { Because } from '../../src/kinds/because.ts'
import { proxyKinds } from '../../src/kinds/proxies.ts'
import type { ProxyModel } from '../../src/model/model.ts'
import { anyStep, type Step } from '../compile/random-rows.ts'
import { createScene, type Scene } from '../compile/scene.ts'

const facts = { part: 3, canBindPort80: true }
const runs = Number(process.env['ZONEMESH_PROPERTY_RUNS'] ?? 150)

/** A part of a model: the rows that decided it, and its content without the inner parts. */
interface Part {
  readonly because: Because
  readonly own: string
}

const isPart = (value: unknown): value is { readonly because: Because } =>
  typeof value === 'object' && value !== null && 'because' in value

/** All parts by their paths. */
function partsOf(model: ProxyModel): ReadonlyMap<string, Part> {
  const found = new Map<string, Part>()
  const visit = (at: string, value: unknown): void => {
    if (typeof value !== 'object' || value === null) return
    if (isPart(value)) {
      const { because, ...own } = value
      found.set(at, { because, own: withoutParts(own) })
    }
    for (const [name, inner] of Object.entries(value)) visit(`${at}/${nameOf(inner) ?? name}`, inner)
  }
  visit('', model)
  return found
}

/** Clusters and listeners are identified by name, because their positions change. */
const nameOf = (part: unknown): string | undefined =>
  typeof part === 'object' && part !== null && 'name' in part && typeof part.name === 'string' ? part.name : undefined

const withoutParts = (value: object): string =>
  JSON.stringify(value, (_name, one: unknown) =>
    isPart(one) || (Array.isArray(one) && one.every(isPart)) || one instanceof Map ? 'parts' : one,
  )

function modelsOf(scene: Scene, without?: string): ReadonlyMap<string, ProxyModel> {
  const compiler = createCompiler({ zone: 'east' })
  const versions = scene.all().filter(({ key }) => keyText(key) !== without)
  compiler.apply(versions, scene.revision)
  const proxies = versions.filter(({ key }) => key.origin === 'east' && proxyKinds.has(key.kind))
  return new Map(
    proxies.flatMap(({ key }) => {
      const { model } = compiler.look(keyText(key), facts)
      return model ? [[keyText(key), model] as const] : []
    }),
  )
}

const sceneOf = (steps: readonly Step[]): Scene => {
  const scene = createScene()
  for (const step of steps) {
    if (step.op === 'put') scene.put(step.key, step.spec)
    else scene.remove(step.key)
  }
  return scene
}

/** Parts that are always decided by rows. Other parts may have only built-in values. */
const decided = /^$|^\/(listeners|assignments\/[^/]+\/endpoints|identity|certificates|routeTables)(\/|$)/
const builtIn = /^\/listeners\/[^/]+\/chains\//

test('C6 each part of a model names existing rows: sorted, each once, and the same for the same rows', () => {
  let parts = 0
  fc.assert(
    fc.property(fc.array(anyStep, { maxLength: 40 }), (steps) => {
      const scene = sceneOf(steps)
      const live = new Set(scene.all().map(({ key }) => keyText(key)))
      const again = modelsOf(scene)
      for (const [proxy, model] of modelsOf(scene)) {
        expect(again.get(proxy)).toEqual(model)
        if (model.listeners.length === 0) continue
        for (const [at, { because }] of partsOf(model)) {
          parts += 1
          expect([at, because]).toEqual([at, [...new Set(because)].sort()])
          expect(because.filter((key) => !live.has(key))).toEqual([])
          if (decided.test(at) && !builtIn.test(at)) expect([at, because.length > 0]).toEqual([at, true])
        }
      }
    }),
    { numRuns: runs },
  )
  expect(parts).toBeGreaterThan(runs)
})

const policies = new Set(['Timeout', 'Retry', 'TrafficPermission', 'MeshTrafficPermission'])

test('C6 a part that a policy changes names this policy', () => {
  let changed = 0
  fc.assert(
    fc.property(fc.array(anyStep, { minLength: 20, maxLength: 60 }), (steps) => {
      const scene = sceneOf(steps)
      const before = modelsOf(scene)
      const live = new Set(scene.all().map(({ key }) => keyText(key)))
      for (const { key } of scene.all().filter((one) => policies.has(one.key.kind))) {
        // Without the global's row, the zone's own row of that name is in force.
        if (key.origin === globalOrigin && live.has(keyText({ ...key, origin: 'east' }))) continue
        const after = modelsOf(scene, keyText(key))
        for (const [proxy, model] of before) {
          const then = partsOf(after.get(proxy) ?? model)
          for (const [at, { because, own }] of partsOf(model)) {
            const other = then.get(at)
            if (!other || other.own === own || at.includes('/permissions/')) continue
            changed += 1
            expect([at, because]).toEqual([at, expect.arrayContaining([keyText(key)])])
          }
        }
      }
    }),
    { numRuns: runs },
  )
  expect(changed).toBeGreaterThan(runs / 10)
})
