/** The store could not be opened. The message is one sentence with the path, what was expected and what was found. */
export class StoreOpenError extends Error {
  override readonly name = 'StoreOpenError'
}

/** What a store has whose schema version does not fit, and what to do about tables that are too new. */
export const foundVersion = (found: number, own: number): string =>
  found > own
    ? `${found}: a newer version of Zonemesh has changed the tables; start that version, or restore a backup from before`
    : String(found)

/** A reader requested a revision whose versions were pruned. It must start again from a newer revision. */
export class HorizonError extends Error {
  override readonly name = 'HorizonError'
  readonly horizon: number

  constructor(revision: number, horizon: number) {
    super(`revision ${revision} is below the horizon of this store, ${horizon}`)
    this.horizon = horizon
  }
}

/**
 * The database does not answer, or the disk refuses writes, at the moment. Nothing is lost, and the caller may retry.
 */
export class StoreUnavailableError extends Error {
  override readonly name = 'StoreUnavailableError'
}
