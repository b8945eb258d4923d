import { err, ok, type Result } from '@zonemesh/shared/base/base.ts'
import { parsePosition, type Store } from '@zonemesh/shared/store/store.ts'

/** The reason why a revision cannot be read, with its HTTP status. */
export interface RevisionRefusal {
  readonly status: 400 | 404 | 410
  readonly reason: string
}

/** The oldest revision that can still be read. The store keeps the records of all later revisions. */
export async function horizonOf(store: Store): Promise<number> {
  const [oldest] = await store.records({ after: -1, limit: 1 })
  return oldest?.position.revision ?? 0
}

export const belowHorizon = (revision: number, horizon: number): RevisionRefusal => ({
  status: 410,
  reason: `@${revision} is older than the history of this control plane, which begins at @${horizon}; the setting --history-revisions determines how much is kept`,
})

/**
 * The revision that a text means: `<store>@<revision>.<commit id>`, `@12`, `@head`, or `@-1` for the one before the
 * newest. The caller decides what is counted back: versions of a resource, or commits.
 */
export async function resolveRevision(
  store: Store,
  text: string,
  countBack: (steps: number) => Promise<number | undefined>,
): Promise<Result<number, RevisionRefusal>> {
  if (text === '@head') return ok((await store.mark()).revision)
  const back = /^@-(\d{1,6})$/.exec(text)
  if (back) {
    const revision = await countBack(Number(back[1]))
    if (revision !== undefined) return readable(store, revision)
    return err({ status: 404, reason: `${text}: the kept history does not reach back so far` })
  }
  const short = /^@(\d{1,15})$/.exec(text)
  if (short) return readable(store, Number(short[1]))
  const position = parsePosition(text)
  if (!position) {
    const forms = '@12, @-1, @head or <store>@<revision>.<commit id>'
    return err({ status: 400, reason: `expected a revision such as ${forms}, found "${text}"` })
  }
  if (position.store !== store.id)
    return err({
      status: 400,
      reason: `${text} belongs to another store; the store of this control plane is ${store.id}`,
    })
  const found = await readable(store, position.revision)
  if (found.ok && (await store.standing(position)) === 'diverged')
    return err({ status: 404, reason: `${text}: this store has another commit at @${position.revision}` })
  return found
}

async function readable(store: Store, revision: number): Promise<Result<number, RevisionRefusal>> {
  const head = (await store.head()).revision
  if (revision > head)
    return err({ status: 404, reason: `@${revision} does not exist yet; the newest revision is @${head}` })
  const horizon = await horizonOf(store)
  return revision < horizon ? err(belowHorizon(revision, horizon)) : ok(revision)
}
