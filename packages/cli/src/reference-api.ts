import { jsonSchemaOf } from '@zonemesh/core/json-schema.ts'
import { publicKinds } from '@zonemesh/core/registry.ts'
import { templateOf } from '@zonemesh/plane/api/open-api.ts'
import { type About, type Access, type DeclaredRoute, type Group, groups } from '@zonemesh/plane/api/route.ts'
import { declareRoutes } from '@zonemesh/plane/api/routes.ts'
import { linkTo } from './reference-link.ts'
import { fieldsOf } from './reference-resources.ts'

const head = `# API

\`npm run reference\` writes this page from the declarations of the routes. Do not edit it. A control plane serves the same as an OpenAPI 3.1
document, with all schemas: \`curl http://127.0.0.1:5681/openapi.json\`. Like other reading, this needs no token, except with
\`--anonymous none\`.

The global and the zones have the same routes. A plane that does not own what a request changes refuses it with 405 and names the API that
does. Every route answers with JSON, refusals are in ${linkTo('docs/errors.md')}, and \`GET\` answers \`HEAD\` as well. "Everybody" in the tables
means: also without a token, unless the plane runs with \`--anonymous none\`.`

const accessText: Readonly<Record<Access, string>> = {
  anyone: 'everybody, always',
  readers: 'everybody',
  administrators: 'administrators',
}

const resources = `\`GET\` of one resource reads it (everybody; secrets only administrators), \`PUT\` creates or replaces it, and \`DELETE\` deletes
it (administrators). Without \`/{name}\`, \`GET\` lists the resources of a mesh, and without \`/meshes/{mesh}\` those of all meshes. \`PUT\` and
\`DELETE\` with \`If-Match\` and the \`ETag\` of an earlier answer are refused with 412 if the resource has changed since.
${linkTo('docs/resources.md')} has the fields of each kind.`

const insights = `An insight is what the plane has learned about a proxy or a zone: its sessions, versions and addresses. The paths and the\ncontents are those of Kuma, for kumactl and the GUI. Lists have the parameters of all lists.`

/** The page of all routes: who may call each, its parameters, its body and its answers. */
export function apiPage(routes: readonly DeclaredRoute[] = declareRoutes()): string {
  const sections = groups.map((group) => {
    const own = routes.filter(({ about }) => about.group === group && about.aliasOf === undefined)
    return `## ${group}\n\n${sectionOf(group, own)}`
  })
  return `${[head, ...sections].join('\n\n')}\n`
}

function sectionOf(group: Group, routes: readonly DeclaredRoute[]): string {
  switch (group) {
    case 'Resources': {
      const queries = routes.flatMap(({ about }) => (isList(about) ? Object.entries(about.query ?? {}) : []))
      const parameters = parameterTable([...new Map(queries)])
      return `${resources}\n\n${kindsTable(routes)}\n\n### Parameters of lists\n\n${parameters}`
    }
    case 'Insights':
      return `${insights}\n\n${routeTable(routes)}`
    default:
      return [routeTable(routes), ...routes.map(details).filter((text) => text !== '')].join('\n\n')
  }
}

const isList = ({ answers }: About): boolean => answers[200]?.shape.type === 'page'

const tableOf = (header: string, rows: readonly string[]): string =>
  `| ${header} |\n|${'---|'.repeat(header.split('|').length)}\n${rows.join('\n')}`

const routeTable = (routes: readonly DeclaredRoute[]): string =>
  tableOf(
    'Route | What it does | Who may call it',
    routes.map(
      ({ method, path, about: { summary, access } }) =>
        `| \`${method} ${templateOf(path)}\` | ${summary} | ${accessText[access]} |`,
    ),
  )

const parameterTable = (query: readonly (readonly [string, string])[]): string =>
  tableOf(
    'Parameter | Meaning',
    query.map(([name, what]) => `| \`${name}\` | ${what} |`),
  )

/** What the table of a group leaves out of a route: parameters, the body, and its answers if there are several. */
function details({ method, path, about: { query = {}, body, answers } }: DeclaredRoute): string {
  const fields = body?.type === 'schema' ? fieldsOf(jsonSchemaOf(body.schema)) : []
  const several = Object.entries(answers).map(([status, { what }]) => `| ${status} | ${what} |`)
  const parts = [
    ...(Object.keys(query).length > 0 ? [parameterTable(Object.entries(query))] : []),
    ...(fields.length > 0 ? [tableOf('Field of the body | Type | Default', fields)] : []),
    ...(several.length > 1 ? [tableOf('Answer | Meaning', several)] : []),
  ]
  return parts.length === 0 ? '' : `### ${method} ${templateOf(path)}\n\n${parts.join('\n\n')}`
}

/** The kinds with the path of one resource of each, and its older path. */
function kindsTable(routes: readonly DeclaredRoute[]): string {
  const rows = publicKinds.map((kind) => {
    const shape = ({ body }: About) => (body?.type === 'resource' ? body.kind : undefined)
    const { path = '' } = routes.find(({ about }) => shape(about) === kind) ?? {}
    const older = kind.pathAliases.map((alias) => `\`${alias}\``).join(', ')
    const where = [kind.writable.global ? 'global' : '', kind.writable.zone ? 'zones' : ''].filter(Boolean).join(', ')
    return `| ${kind.name} | \`${templateOf(path)}\` | ${older} | ${where} |`
  })
  return tableOf('Kind | Path of one resource | Older name in the path | Written on', rows)
}
