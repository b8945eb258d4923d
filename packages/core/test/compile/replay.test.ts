import { keyText } from '@zonemesh/shared/resource/resource.ts'
import type { Version } from '@zonemesh/shared/store/store.ts'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Compiler, createCompiler } from '../../src/compile/compiler.ts'
import { type ProxyTable, type TypeUrl, typeUrls } from '../../src/emit/table.ts'
import { anyStep, badPut, goodStep, type Step } from './random-rows.ts'
import { createScene, type Scene } from './scene.ts'

const zone = 'east'
const facts = { part: 3, canBindPort80: true }
const runs = Number(process.env['ZONEMESH_PROPERTY_RUNS'] ?? 150)

const versionOf = (scene: Scene, step: Step): Version =>
  step.op === 'put' ? scene.put(step.key, step.spec) : scene.remove(step.key)

const proxiesOf = (scene: Scene): string[] =>
  scene
    .all()
    .filter(({ key }) => key.origin === zone && (key.kind === 'Dataplane' || key.kind === 'ZoneIngress'))
    .map(({ key }) => keyText(key))
    .sort()

function shown(table: ProxyTable | undefined) {
  return {
    resources: [...(table?.resources ?? [])].flatMap(([type, resources]) =>
      [...resources.values()]
        .map((one) => `${type} ${one.name} ${one.version} ${[...(one.contributions ?? [])].join()}`)
        .sort(),
    ),
    needs: table?.secretNeeds,
    problems: table?.problems,
  }
}

function fromNothing(versions: readonly Version[], mark: number): Compiler {
  const compiler = createCompiler({ zone })
  compiler.apply(versions, mark)
  return compiler
}

test('L3 any sequence of changes ends in the bytes and the reasons of a build from nothing, regardless of the tables read in between', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.array(anyStep, { minLength: 1, maxLength: 4 }), fc.nat({ max: 7 })), { maxLength: 25 }),
      (batches) => {
        const scene = createScene()
        const compiler = createCompiler({ zone })
        const seen = new Map<string, ProxyTable | undefined>()
        const pending = new Set<string>()
        for (const [steps, asked] of batches) {
          const versions = steps.map((step) => versionOf(scene, step))
          for (const proxy of compiler.apply(versions, scene.revision)) pending.add(proxy)
          for (const proxy of proxiesOf(scene).filter((_one, at) => (asked >> (at % 3)) & 1)) {
            // Some proxies are prepared in the smallest steps: a pause must lose nothing.
            while (asked % 2 === 0 && !compiler.prepare(proxy, facts, 2));
            const table = compiler.table(proxy, facts)
            // A proxy that was not reported as touched keeps the identical table.
            if (seen.has(proxy) && !pending.has(proxy)) expect(table).toBe(seen.get(proxy))
            seen.set(proxy, table)
            pending.delete(proxy)
          }
          for (const proxy of seen.keys()) if (!proxiesOf(scene).includes(proxy)) seen.delete(proxy)
        }
        const fresh = fromNothing(scene.all().reverse(), scene.revision)
        for (const proxy of proxiesOf(scene)) {
          expect(shown(compiler.table(proxy, facts))).toEqual(shown(fresh.table(proxy, facts)))
          // The deciding rows of each part, which the table does not contain, must be equal too.
          expect(compiler.look(proxy, facts).model).toEqual(fresh.look(proxy, facts).model)
        }
      },
    ),
    { numRuns: runs },
  )
})

test('L4 rows that do not match their kind change nothing for other proxies', () => {
  fc.assert(
    fc.property(
      fc.array(goodStep, { maxLength: 40 }),
      fc.array(badPut, { minLength: 1, maxLength: 4 }),
      (good, bad) => {
        const scene = createScene()
        for (const step of good) versionOf(scene, step)
        const proxies = proxiesOf(scene)
        const without = fromNothing(scene.all(), scene.revision)
        const before = proxies.map((proxy) => shown(without.table(proxy, facts)).resources)
        for (const step of bad) versionOf(scene, step)
        const compiler = fromNothing(scene.all(), scene.revision)
        const after = proxies.map((proxy) => shown(compiler.table(proxy, facts)).resources)
        expect(after).toEqual(before)
        // Bad proxies have tables too, even if they are empty.
        for (const proxy of proxiesOf(scene)) compiler.table(proxy, facts)
      },
    ),
    { numRuns: runs },
  )
})

/** The references of a table that it does not resolve. */
function danglingOf(table: ProxyTable | undefined): string[] {
  const has = (type: TypeUrl, name: string) => table?.resources.get(type)?.has(name) ?? false
  const needs = new Set(table?.secretNeeds.map((need) => need.name))
  return [...(table?.resources.values() ?? [])].flatMap((resources) =>
    [...resources.values()].flatMap((one) => [
      ...(one.clusters ?? []).filter((name) => !has(typeUrls.cluster, name)),
      ...(one.routes ?? []).filter((name) => !has(typeUrls.route, name)),
      ...(one.secrets ?? []).filter((name) => !needs.has(name)),
      ...(one.assignment && !has(typeUrls.assignment, one.assignment) ? [one.assignment] : []),
    ]),
  )
}

test('L9 a table contains everything that it refers to', () => {
  fc.assert(
    fc.property(fc.array(anyStep, { maxLength: 40 }), (steps) => {
      const scene = createScene()
      for (const step of steps) versionOf(scene, step)
      const compiler = fromNothing(scene.all(), scene.revision)
      for (const proxy of proxiesOf(scene)) expect(danglingOf(compiler.table(proxy, facts))).toEqual([])
    }),
    { numRuns: runs },
  )
})
