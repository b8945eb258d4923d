import { isNewer, keyText, type Row } from '@zonemesh/shared/resource/resource.ts'
import { isBindFailure, type TypeUrl } from '../emit/table.ts'
import { displayNameLabel, type Tags } from '../kinds/common.ts'
import type { AnyRow } from '../kinds/kind.ts'
import type { CompiledProxy } from './compiled-zone.ts'
import type { Decision, Mismatch, PlaneSight, Sources, Step, StepName } from './sources.ts'

/** Ends a walk at the first mismatch. */
export class Stop extends Error {
  readonly mismatch: Mismatch
  constructor(mismatch: Mismatch) {
    super(mismatch.problem)
    this.mismatch = mismatch
  }
}

export const decisionOf = ({ key, stamp }: AnyRow): Decision => ({ key: keyText(key), revision: stamp.originRevision })

/** The name of a row in messages: `MeshGatewayRoute shop`. */
export const called = ({ key, labels }: AnyRow): string => `${key.kind} ${labels[displayNameLabel] ?? key.name}`

/** Tags in messages: `a=1 b=2`. */
export const tagsOf = (tags: Tags): string =>
  Object.entries(tags)
    .map(([key, value]) => `${key}=${value}`)
    .sort()
    .join(' ') || 'no tags'

/** A plane in messages. */
const planeText = (origin: string): string => (origin === 'global' ? 'the global' : `zone ${origin}`)

/** The decisions of rows. A row that decided twice, such as the authority of both ends, is named once. */
const decisionsOf = (rows: readonly AnyRow[]): Decision[] => [
  ...new Map(rows.map((row) => [keyText(row.key), decisionOf(row)])).values(),
]

/** Ends the walk with a mismatch. */
export function stop(step: StepName, problem: string, remedy: string, rows: readonly AnyRow[] = []): never {
  throw new Stop({ step, problem, remedy, decidedBy: decisionsOf(rows) })
}

/** Collects the steps of one walk, and compares the versions that each plane has of the deciding rows. */
export function createWalk(sources: Sources) {
  const steps: Step[] = []

  const find = (plane: PlaneSight | undefined, text: string): Row | undefined =>
    plane?.rows.find((row) => keyText(row.key) === text)

  /** Stops if a zone and the owner of a row have different versions of it. */
  function compare(step: StepName, row: AnyRow, zone: string): string {
    const text = keyText(row.key)
    const { origin } = row.key
    const owner = origin === 'global' ? sources.global : sources.zones.get(origin)
    if (origin === zone) return ''
    if (!owner) return `${called(row)}: ${planeText(origin)} gave no answer`
    const own = find(owner, text)
    const its = `zone ${zone} has ${called(row)} of revision ${row.stamp.originRevision}`
    const status = 'look at `zonemesh status`: the zone is behind, offline, or holds a change'
    if (!own) stop(step, `${its}, and ${planeText(origin)} has none`, status, [row])
    if (isNewer(own.stamp, row.stamp))
      stop(step, `${its}, and ${planeText(origin)} has revision ${own.stamp.originRevision}`, status, [row])
    return ''
  }

  /** Stops if the proxy runs another version of a resource than the zone compiled. */
  function compareRunning(
    step: StepName,
    { proxy, table }: Pick<CompiledProxy, 'proxy' | 'table'>,
    typeUrl: TypeUrl,
    name: string,
    rows: readonly AnyRow[],
  ): string {
    const sight = sources.proxies.get(proxy)
    if (sources.offline) return ''
    if (!sight) return `${proxy}: the state of its Envoy is not known`
    const resource = table?.resources.get(typeUrl)?.get(name)
    if (!resource) return ''
    const runs = sight.accepted.get(typeUrl)?.get(name)
    if (runs === resource.version) return ''
    const refusal = sight.refused.get(typeUrl)?.get(name)
    if (refusal !== undefined)
      stop(
        step,
        `the Envoy of ${proxy} refuses ${name}: ${refusal}`,
        isBindFailure(refusal)
          ? 'the host of the proxy does not have this address, or another process there uses it: free it, or change the port; the proxy tries again'
          : 'correct what this message names, and apply it again: the proxy tries every new version',
        rows,
      )
    const what = runs === undefined ? 'does not have it' : 'runs another version of it'
    return stop(
      step,
      `the zone compiled ${name}, and the Envoy of ${proxy} ${what}`,
      sight.connected
        ? 'its Envoy has not answered yet: try again, or look at the log of the proxy'
        : 'the proxy has no stream to its zone: look at its log, its token and its network path to the zone',
      rows,
    )
  }

  return {
    steps,
    compareRunning,
    /** Adds a step without a mismatch. `rows` decided it, as `zone` has them. */
    pass(step: StepName, text: string, zone: string, rows: readonly AnyRow[], more: readonly string[] = []): void {
      const notes = [...rows.map((row) => compare(step, row, zone)), ...more]
      steps.push({
        step,
        text,
        decidedBy: decisionsOf(rows),
        agreement: [...new Set(notes)].filter((note) => note !== ''),
      })
    },
  }
}
export type Walk = ReturnType<typeof createWalk>
