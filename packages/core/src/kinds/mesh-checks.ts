import { checkTags, lifetimeMs } from './common.ts'
import type { Violation } from './kind.ts'
import {
  type AuthoritySource,
  backendConfField,
  type MeshBackend,
  type MeshSpec,
  providedSources,
} from './mesh-spec.ts'
import { checkLogging, checkMetrics, checkTracing } from './observability-checks.ts'

/**
 * Kuma's rules for a Mesh, in its order. As in Kuma, the authorities of a mesh are checked only if everything else is
 * valid. Unlike in Kuma, a mesh may have several authorities, so that one can replace another.
 */
export function checkMesh(mesh: MeshSpec, { name }: { readonly name: string }): Violation[] {
  const { mtls, logging, tracing, metrics, constraints, routing } = mesh
  const violations = [
    ...(mtls ? checkMtls(mtls) : []),
    ...(logging ? checkLogging(logging) : []),
    ...(tracing ? checkTracing(tracing) : []),
    ...(metrics ? checkMetrics(metrics) : []),
    ...checkConstraints(constraints),
    ...(routing?.zoneEgress && !mtls?.enabledBackend
      ? [{ field: 'mtls', reason: 'has to be set when zoneEgress enabled' }]
      : []),
  ]
  return violations.length > 0 ? violations : [...checkMeshName(name), ...(mtls ? checkAuthorities(mtls) : [])]
}

type Mtls = NonNullable<MeshSpec['mtls']>

const checkMeshName = (name: string): Violation[] =>
  name.length > 63 ? [{ field: 'name', reason: 'cannot be longer than 63 characters' }] : []

function checkMtls({ backends = [], enabledBackend }: Mtls): Violation[] {
  const names = backends.map(({ name }) => name)
  return [
    ...backends.flatMap(({ name, dpCert }, index) => {
      const expiration = dpCert?.rotation?.expiration
      return [
        ...(names.indexOf(name) < index
          ? [{ field: `mtls.backends[${index}].name`, reason: `"${name}" name is already used for another backend` }]
          : []),
        // Kuma uses this path without an index.
        ...(expiration !== undefined && lifetimeMs(expiration) === undefined
          ? [{ field: 'mtls.dpcert.rotation.expiration', reason: 'has to be a valid format' }]
          : []),
      ]
    }),
    ...(enabledBackend && !names.includes(enabledBackend)
      ? [
          {
            field: 'mtls.enabledBackend',
            reason: 'has to be set to one of the backends in the mesh',
            choices: names,
          },
        ]
      : []),
  ]
}

function checkConstraints(constraints: MeshSpec['constraints']): Violation[] {
  const { requirements = [], restrictions = [] } = constraints?.dataplaneProxy ?? {}
  return Object.entries({ requirements, restrictions }).flatMap(([member, sets]) =>
    sets.flatMap(({ tags = {} }, index) =>
      checkTags(`constraints.dataplaneProxy.${member}[${index}].tags`, tags, {
        selector: true,
        requireAny: true,
        requireService: false,
      }),
    ),
  )
}

function checkAuthorities({ backends = [], skipValidation }: Mtls): Violation[] {
  return backends.flatMap((backend, index) => {
    if (backend.type !== 'builtin' && backend.type !== 'provided') {
      return [
        {
          field: `mtls.backends[${index}].type`,
          reason: 'could not find installed plugin for this type',
          choices: ['builtin', 'provided'],
        },
      ]
    }
    return backend.type === 'provided' && !skipValidation ? checkProvided(backend, index) : []
  })
}

/** Checks a provided authority as far as possible without its Secrets. */
function checkProvided(backend: MeshBackend, index: number): Violation[] {
  const { cert, key } = providedSources(backend)
  const field = backendConfField(index)
  return [...checkSource(`${field}.cert`, cert), ...checkSource(`${field}.key`, key)]
}

function checkSource(field: string, source: AuthoritySource | undefined): Violation[] {
  if (!source) return [{ field, reason: 'has to be defined' }]
  const members = Object.entries(source).filter(([, value]) => value !== undefined)
  const [first] = members
  if (!first || members.length > 1)
    return [{ field, reason: 'data source has to be chosen. Available sources: secret, inline, inlineString' }]
  const [member, value] = first
  if (member === 'file') return [{ field: `${field}.file`, reason: 'files are not read; use a secret, or inline data' }]
  return value === '' ? [{ field: `${field}.${member}`, reason: 'cannot be empty' }] : []
}
