import { z } from 'zod'
import { firstOf, tagsText } from '../../kinds/columns.ts'
import { tagMap } from '../../kinds/common.ts'
import { defineKind, message, type Violation } from '../../kinds/kind.ts'
import { byMesh } from '../../kinds/ranges.ts'

const targetRef = message({
  kind: z.string(),
  name: z.string().optional(),
  namespace: z.string().optional(),
  labels: tagMap.optional(),
  tags: tagMap.optional(),
  mesh: z.string().optional(),
  proxyTypes: z.array(z.string()).optional(),
  sectionName: z.string().optional(),
})

const actions = ['Allow', 'Deny', 'AllowWithShadowDeny'] as const

const meshTrafficPermissionSchema = message({
  targetRef: targetRef.optional(),
  from: z
    .array(message({ targetRef: targetRef, default: message({ action: z.enum(actions).optional() }).optional() }))
    .optional(),
  rules: z.array(z.record(z.string(), z.json())).optional(),
})
export type MeshTrafficPermissionSpec = z.infer<typeof meshTrafficPermissionSchema>

const notYet = (field: string, what: string, choices: readonly string[]): Violation => ({
  field,
  reason: `not yet: ${what}`,
  choices,
})

function check(spec: MeshTrafficPermissionSpec): Violation[] {
  const violations: Violation[] = []
  if (spec.targetRef && spec.targetRef.kind !== 'Mesh') {
    violations.push(notYet('spec.targetRef.kind', `only Mesh is served, found ${spec.targetRef.kind}`, ['Mesh']))
  }
  if (spec.rules?.length) violations.push(notYet('spec.rules', 'only spec.from is served', ['from']))
  if (!spec.from?.length && !spec.rules?.length)
    violations.push({ field: 'spec.from', reason: 'needs at least one item' })
  spec.from?.forEach((one, index) => {
    const field = `spec.from[${index}]`
    if (one.targetRef.kind !== 'Mesh' && one.targetRef.kind !== 'MeshSubset') {
      violations.push(
        notYet(`${field}.targetRef.kind`, `only Mesh and MeshSubset are served, found ${one.targetRef.kind}`, [
          'Mesh',
          'MeshSubset',
        ]),
      )
    }
    if (one.targetRef.kind === 'MeshSubset' && Object.keys(one.targetRef.tags ?? {}).length === 0) {
      violations.push({ field: `${field}.targetRef.tags`, reason: 'cannot be empty' })
    }
    if (!one.default?.action)
      violations.push({ field: `${field}.default.action`, reason: 'must be defined', choices: actions })
  })
  return violations
}

/** `Mesh`, `MeshSubset team=a` or `MeshService web`. */
const targetText = ({ kind, name, tags }: z.infer<typeof targetRef>): string =>
  [kind, ...(name ? [name] : []), ...(tags ? [tagsText(tags)] : [])].join(' ')

export const meshTrafficPermission = defineKind({
  name: 'MeshTrafficPermission',
  path: 'meshtrafficpermissions',
  shortName: 'mtp',
  scope: 'mesh',
  layout: 'nested',
  travel: 'global-to-zones',
  writable: { global: true, zone: false },
  isPolicy: true,
  schema: meshTrafficPermissionSchema,
  compiled: { owner: 'global', blame: 50, index: byMesh },
  check,
  columns: [
    { title: 'TARGET', cell: ({ spec }) => (spec.targetRef ? targetText(spec.targetRef) : 'Mesh') },
    {
      title: 'FROM',
      cell: ({ spec }) =>
        firstOf((spec.from ?? []).map((one) => `${targetText(one.targetRef)}: ${one.default?.action ?? 'no action'}`)),
    },
  ],
  unserved: (spec) =>
    (spec.from ?? []).some((one) => one.default?.action === 'AllowWithShadowDeny')
      ? ['spec.from: AllowWithShadowDeny allows; the shadow denial is not logged yet']
      : [],
})
