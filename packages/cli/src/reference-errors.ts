import { problems } from '@zonemesh/plane/api/problems.ts'
import { exitCodes } from './base/command.ts'
import { linkTo } from './reference-link.ts'

const head = `# Errors

\`npm run reference\` writes this page from the table of refusals that the API uses. Do not edit it.

The API answers a refused request with an object such as this one. \`status\` and \`title\` name the refusal, and \`detail\` states what was
expected and found. \`type\` is the same for all of them, as in Kuma; \`details\` and \`causes\` repeat \`detail\` and \`invalid_parameters\` for older
clients.

\`\`\`json
{
 "type": "/std-errors",
 "status": 404,
 "title": "Could not retrieve a resource",
 "detail": "Not found",
 "details": "Not found"
}
\`\`\`

Commands print \`title: detail\`, and one line for each field of \`invalid_parameters\`.`

const others = `## Answers without an error object

| Status | Cause | Remedy |
|---|---|---|
| 404, \`404: Page Not Found\` | the API has no such path | see ${linkTo('docs/api.md')} |
| 405, \`405: Method Not Allowed\` | the path has no such method, as in Kuma | see ${linkTo('docs/api.md')} |
| 408 | the headers took longer than 10 s, or the request longer than 30 s | send the request faster, or smaller ones |
| 431 | the headers have more than 16 KiB | send fewer headers |`

/** The page of all refusals of the API and all exit codes of commands, each with its cause and remedy. */
export function errorsPage(): string {
  const refusals = Map.groupBy(problems, ({ status }) => status)
  const sections = [...refusals].map(
    ([status, entries]) =>
      `### ${status}\n\n| Title | Cause | Remedy |\n|---|---|---|\n${entries
        .map(({ title, cause, remedy }) => `| ${title} | ${cause} | ${remedy} |`)
        .join('\n')}`,
  )
  const codes = Object.entries(exitCodes).map(([code, { meaning, remedy }]) => `| ${code} | ${meaning} | ${remedy} |`)
  const exits = `## Exit codes\n\n| Code | Meaning | Remedy |\n|---|---|---|\n${codes.join('\n')}`
  return `${[head, '## Refusals of the API', ...sections, others, exits].join('\n\n')}\n`
}
