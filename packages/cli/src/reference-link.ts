import { basename } from 'node:path'

/** A link from a page of `docs` to another one, by the path of the page in the repository. */
export function linkTo(page: string, anchor?: string): string {
  const name = basename(page)
  return `[${name}](${name}${anchor === undefined ? '' : `#${anchor}`})`
}
