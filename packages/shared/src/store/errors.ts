/** The store could not be opened. Its message is one sentence for people: the path, what was expected, what was found. */
export class StoreOpenError extends Error {
  override readonly name = 'StoreOpenError'
}

/** A reader asked for a revision whose versions are gone: it has to start again from a newer one. */
export class HorizonError extends Error {
  override readonly name = 'HorizonError'
  readonly horizon: number

  constructor(revision: number, horizon: number) {
    super(`revision ${revision} is below the horizon of this store, ${horizon}`)
    this.horizon = horizon
  }
}

/** The database does not answer, or the disk takes nothing, for now. Nothing is lost; whoever asked may ask again. */
export class StoreUnavailableError extends Error {
  override readonly name = 'StoreUnavailableError'
}
