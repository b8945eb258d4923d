declare const mark: unique symbol

/**
 * A value of which there is one object for all equal ones, as long as anything holds it: equal ones are identical. `text` is its
 * canonical form, and `id` stands for it in keys.
 */
export interface Interned {
  readonly text: string
  readonly id: string
  readonly [mark]: true
}

/** Returns the one object for a value, found by its canonical text. What nothing holds any more is forgotten. */
export function createInterning<From, One extends Interned>(
  textOf: (from: From) => string,
  make: (interned: Interned, from: From) => One,
): (from: From) => One {
  const byText = new Map<string, WeakRef<One>>()
  const forgotten = new FinalizationRegistry<string>((text) => {
    // Another object may stand for the text by now.
    if (byText.get(text)?.deref() === undefined) byText.delete(text)
  })
  let last = 0
  return (from) => {
    const text = textOf(from)
    const known = byText.get(text)?.deref()
    if (known) return known
    last += 1
    // Only this function makes such values, which is all that the mark says.
    const one = make({ text, id: `#${last}` } as Interned, from)
    byText.set(text, new WeakRef(one))
    forgotten.register(one, text)
    return one
  }
}
