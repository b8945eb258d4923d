declare const mark: unique symbol

/**
 * A value with at most one object among equal values, as long as it is referenced. So equal values are identical.
 * `text` is the canonical form, and `id` represents it in keys.
 */
export interface Interned {
  readonly text: string
  readonly id: string
  readonly [mark]: true
}

/** Returns the interned object of a value, found by its canonical text. Objects without references are dropped. */
export function createInterning<From, One extends Interned>(
  textOf: (from: From) => string,
  make: (interned: Interned, from: From) => One,
): (from: From) => One {
  const byText = new Map<string, WeakRef<One>>()
  const forgotten = new FinalizationRegistry<string>((text) => {
    // A new object may have been interned for the text in the meantime.
    if (byText.get(text)?.deref() === undefined) byText.delete(text)
  })
  let last = 0
  return (from) => {
    const text = textOf(from)
    const known = byText.get(text)?.deref()
    if (known) return known
    last += 1
    // The mark only states that this function made the value.
    const one = make({ text, id: `#${last}` } as Interned, from)
    byText.set(text, new WeakRef(one))
    forgotten.register(one, text)
    return one
  }
}
