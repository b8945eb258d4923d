import { typeUrls } from '@zonemesh/core/emit/table.ts'
import { sightRules } from '@zonemesh/plane/sight.ts'
import { byCodeUnit, canonicalJson } from '@zonemesh/shared/base/base.ts'
import { globalOrigin, keyText, type Row } from '@zonemesh/shared/resource/resource.ts'
import { createMemoryStore } from '@zonemesh/shared/store/memory.ts'
import { sightOfGlobal, sightOfZone } from '@zonemesh/shared/sync/log/who-sees.ts'
import { isCurrent } from '@zonemesh/shared/sync/uplink-state.ts'
import { bulkName, bulkRows, gatewayName } from './content.ts'
import type { Disk } from './disk.ts'
import type { Scene } from './scene.ts'

const services = (scene: Scene) => [
  ...scene.zones.map((zone) => `stable-${zone}`),
  ...Array.from({ length: 6 }, (_, index) => `churn-${index}`),
]

const bulkKeys = Array.from({ length: bulkRows }, (_, index) => `${globalOrigin}/TokenKey//${bulkName(index)}`)

/** Records everything that an operator could observe. */
export function createObserver(scene: Scene) {
  const answers = new Map<string, string | undefined>()
  const reached = new Set<string>()
  /** For each zone, the mark at which the rows of a large round were last compared. */
  const compared = new Map<string, number>()

  function claims(): void {
    for (const { process, sync, store } of scene.globals.values()) {
      for (const [zone, status] of sync.zones()) {
        if (status.current) scene.record({ type: 'claimed', by: process.name, zone, store: store.id })
        for (const level of ['stored', 'served'] as const)
          scene.record({ type: 'receipt', by: 'the status', level, zone, store: store.id, revision: status[level] })
      }
    }
    for (const { zone, process, uplink } of scene.planes.values()) {
      const state = uplink.state.value
      if (isCurrent(state, process.clock.monotonicMs()))
        scene.record({ type: 'claimed', by: zone, zone, store: state.globalStoreId ?? '' })
    }
  }

  function pairs(): void {
    for (const { zone, core } of scene.planes.values()) {
      const at = core.engine.mark.value
      const { contents } = scene.zoneDisk(zone)
      if (at < contents.horizon) continue
      const shown = (key: string) => {
        const versions = contents.versionsByKey.get(key)
        return versions?.findLast(({ revision }) => revision <= at)?.row?.spec ?? null
      }
      const side = (name: string) => canonicalJson(shown(`${globalOrigin}/Timeout/default/pair-${name}`))
      scene.record({ type: 'pair', zone, left: side('left'), right: side('right') })
      if (compared.get(zone) === at) continue
      compared.set(zone, at)
      const numbers = bulkKeys.map((key) => shown(key)?.['kid'])
      const [first] = numbers
      const other =
        numbers[
          Math.max(
            0,
            numbers.findIndex((number) => number !== first),
          )
        ]
      if (numbers.some((number) => number !== undefined))
        scene.record({ type: 'pair', zone, left: `bulk ${first}`, right: `bulk ${other}` })
    }
  }

  function names(): void {
    for (const { zone, core } of scene.planes.values()) {
      for (const service of services(scene)) {
        const found = core.nameFeeds.lookup('default', `${service}.mesh`)
        const address = Array.isArray(found) ? String(found[0]) : undefined
        const name = `${zone} ${service}`
        if (answers.get(name) === address && answers.has(name)) continue
        answers.set(name, address)
        scene.record({ type: 'answered', zone, service, address })
      }
    }
  }

  /** A request from every gateway to the service of every zone, as its Envoy would send it now. */
  function requests(): void {
    for (const zone of scene.zones) {
      // If the stores of the global and of the zone were lost, no copy of the rows is left.
      if (scene.lost.has('global') && scene.lost.has(zone)) continue
      for (const to of scene.zones) {
        const name = `${zone} ${to}`
        const reason = whyNot(scene, zone, to)
        // Before the first one has passed, the mesh is still being set up.
        if (reason === undefined) reached.add(name)
        else if (reached.has(name)) scene.record({ type: 'request', from: zone, to: `stable-${to}`, ok: false, reason })
      }
    }
  }

  return {
    look(): void {
      claims()
      names()
      requests()
      pairs()
    },
  }
}

/** Why a request from the gateway of one zone to the service of another would fail; undefined if it would not. */
function whyNot(scene: Scene, zone: string, to: string): string | undefined {
  const held = scene.proxies.heldBy(zone, gatewayName)
  const assignments = [...(held?.resources.get(typeUrls.assignment)?.values() ?? [])]
  const assignment = assignments.find((one) => one.name.includes(`stable-${to}`))
  if (!assignment) return 'no cluster'
  return hasEndpoint(assignment.bytes) ? undefined : 'no endpoint'
}

/** The encoded assignment contains an address; all addresses of the simulation have the same prefix. */
const hasEndpoint = (bytes: Uint8Array): boolean => Buffer.from(bytes).includes('127.4')

/** Reads without a process, so the disk of a dead process can be read too. */
const readOnly = (disk: Disk) =>
  createMemoryStore(
    { random: { fraction: () => 0, bytes: (length) => new Uint8Array(length), uuid: () => '' }, clock: noClock },
    { contents: disk.contents },
  )
const noClock = { wallMs: () => 0, monotonicMs: () => 0, after: () => ({ [Symbol.dispose]: () => {} }) }

async function liveRows(disk: Disk): Promise<readonly Row[]> {
  const store = readOnly(disk)
  return store.scan({}, { at: (await store.head()).revision })
}

const lines = new WeakMap<Row, string>()

function lineOf(row: Row): string {
  const known = lines.get(row)
  if (known !== undefined) return known
  const { incarnation, originRevision } = row.stamp
  const line = `${keyText(row.key)} ${incarnation}.${originRevision} ${canonicalJson(row.spec)}`
  lines.set(row, line)
  return line
}

function difference(expected: readonly Row[], found: readonly Row[]) {
  const [want, have] = [new Set(expected.map(lineOf)), new Set(found.map(lineOf))]
  return {
    missing: [...want].filter((line) => !have.has(line)).sort(byCodeUnit),
    surplus: [...have].filter((line) => !want.has(line)).sort(byCodeUnit),
  }
}

/**
 * The differences between the rows that planes hold and those they should hold. Nothing is recorded; empty when all
 * agree.
 */
export async function disagreements(scene: Scene) {
  const found: { plane: string; missing: readonly string[]; surplus: readonly string[] }[] = []
  const atGlobal = await liveRows(scene.globalDisk)
  for (const zone of scene.zones) {
    const atZone = await liveRows(scene.zoneDisk(zone))
    const [down, up] = [sightOfZone(sightRules, zone), sightOfGlobal(sightRules, zone)]
    const forZone = difference(
      atGlobal.filter((row) => down.sees(row)),
      atZone.filter((row) => row.key.origin !== zone),
    )
    const forGlobal = difference(
      atZone.filter((row) => up.sees(row)),
      atGlobal.filter((row) => row.key.origin === zone),
    )
    const plane = scene.planes.get(zone)
    const { mark } = scene.zoneDisk(zone).contents
    const behind: string[] = []
    if (!plane) behind.push('the zone does not run')
    else {
      if (plane.core.engine.mark.value !== mark) behind.push(`compiled ${plane.core.engine.mark.value} of ${mark}`)
      if (plane.core.progress.read().mark !== mark) behind.push(`served ${plane.core.progress.read().mark} of ${mark}`)
      if (plane.core.progress.read().silent.length > 0) behind.push('silent proxies')
      if (!isCurrent(plane.uplink.state.value, plane.process.clock.monotonicMs()))
        behind.push('the zone is not current')
    }
    for (const to of scene.zones) {
      const reason = whyNot(scene, zone, to)
      if (reason) behind.push(`no way to stable-${to}: ${reason}`)
    }
    const boards = [...scene.globals.values()].map(({ sync }) => sync.zones().get(zone)?.current ?? false)
    if (!boards.includes(true)) behind.push('no global says that it is current')
    found.push({ plane: `zone ${zone}`, missing: [...forZone.missing, ...behind], surplus: forZone.surplus })
    found.push({ plane: `global of ${zone}`, ...forGlobal })
  }
  return found.filter(({ missing, surplus }) => missing.length + surplus.length > 0)
}
