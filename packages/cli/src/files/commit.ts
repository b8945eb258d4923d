import type { Outcome } from '@zonemesh/plane/api/answers.ts'
import { type Client, errorLines, requireFields } from '../base/client.ts'
import { CommandError } from '../base/command.ts'

/** A resource that a commit deletes. */
export interface Named {
  readonly type: string
  readonly mesh?: string
  readonly name: string
}

export interface CommitRequest {
  readonly documents: readonly unknown[]
  readonly deletions?: readonly Named[]
  readonly atomic?: boolean
  readonly intent?: string
  /** The caller confirms a mass removal. */
  readonly declared?: boolean
  readonly dryRun?: boolean
  /** The commit is refused if one of its rows was written after this revision. */
  readonly since?: string
}

export interface CommitAnswer {
  /** Whether the plane refused all of it, so that nothing was written. */
  readonly isRefused: boolean
  readonly revision: string
  readonly outcomes: readonly Outcome[]
  /** Only of a dry run: the kinds of which so many rows are removed that the caller must confirm it. */
  readonly massRemovals?: readonly { readonly kind: string; readonly removed: number; readonly total: number }[]
}

/** Sends documents and deletions as one commit. Throws a CommandError if the plane refuses the request itself. */
export async function sendCommit(client: Client, request: CommitRequest): Promise<CommitAnswer> {
  const reply = await client.call('POST', '/_commit', request)
  if (reply.status < 400) requireFields(client, reply, ['outcomes', 'revision'])
  const { json } = reply
  if (json === null || typeof json !== 'object' || !('outcomes' in json)) throw new CommandError(errorLines(reply))
  // The plane answers with its own types.
  return { ...(json as Omit<CommitAnswer, 'isRefused'>), isRefused: reply.status >= 400 }
}

/** Whether an outcome of a commit or of a dry run differs from what the plane had. */
export const isChange = ({ outcome }: Outcome): boolean =>
  outcome === 'created' || outcome === 'updated' || outcome === 'deleted'
