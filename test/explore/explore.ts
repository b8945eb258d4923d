import { shortHash } from '@zonemesh/shared/base/base.ts'

/** One possible next event. It changes the copy of the state that it gets. */
export interface Move<State> {
  readonly name: string
  readonly apply: (state: State) => void
}

export interface Exploration {
  readonly states: number
  readonly ends: number
}

/**
 * Explores every interleaving of the moves, each state once, and judges every state without further moves. A failure
 * lists the moves that led to it, so that it can be replayed.
 */
export function explore<State>(
  initial: State,
  movesOf: (state: State) => readonly Move<State>[],
  judgeEnd: (state: State) => void,
  statesMax = 2_000_000,
): Exploration {
  const seen = new Set<string>()
  const trail: string[] = []
  let ends = 0

  function visit(state: State): void {
    const text = JSON.stringify(state, plain)
    if (seen.has(text)) return
    seen.add(text)
    if (seen.size > statesMax) throw new Error(`more than ${statesMax} states: make the scene smaller`)
    const moves = movesOf(state)
    if (moves.length === 0) {
      ends += 1
      judgeEnd(state)
    }
    for (const move of moves) {
      const next = copied(state)
      trail.push(move.name)
      move.apply(next)
      visit(next)
      trail.pop()
    }
  }

  try {
    visit(initial)
  } catch (cause) {
    throw new Error(`after ${trail.join(', ')}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause })
  }
  return { states: seen.size, ends }
}

/**
 * Explores states that cannot be copied, such as closures, timers and promises. Every state is reached by replaying its
 * moves, and the result of `look` must contain everything that its future depends on.
 */
export async function replay<Scene>(
  open: () => Scene,
  movesOf: (
    scene: Scene,
  ) => readonly { readonly name: string; readonly apply: (scene: Scene) => void | Promise<void> }[],
  look: (scene: Scene) => unknown,
  judgeEnd: (scene: Scene) => void,
  statesMax = 200_000,
): Promise<Exploration> {
  const seen = new Set<string>()
  const trails: (readonly string[])[] = [[]]
  let ends = 0
  for (let trail = trails.pop(); trail; trail = trails.pop()) {
    const scene = open()
    try {
      for (const name of trail)
        await movesOf(scene)
          .find((move) => move.name === name)
          ?.apply(scene)
      const text = JSON.stringify(look(scene), plain)
      if (seen.has(text)) continue
      seen.add(text)
      if (seen.size > statesMax) throw new Error(`more than ${statesMax} states: make the scene smaller`)
      const moves = movesOf(scene)
      if (moves.length === 0) {
        ends += 1
        judgeEnd(scene)
      }
      for (const { name } of moves) trails.push([...trail, name])
    } catch (cause) {
      throw new Error(`after ${trail.join(', ')}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause })
    }
  }
  return { states: seen.size, ends }
}

/** Sorts maps and sets, so that states with the same content are equal, regardless of the order of their events. */
const plain = (_key: string, value: unknown) => {
  if (value instanceof Uint8Array) return textOfBytes(value)
  if (value instanceof Map) return [...value].sort(([a], [b]) => (String(a) < String(b) ? -1 : 1))
  return value instanceof Set ? [...value].sort() : value
}

const textByBytes = new WeakMap<Uint8Array, string>()

function textOfBytes(bytes: Uint8Array): string {
  const known = textByBytes.get(bytes) ?? `${bytes.length} bytes ${shortHash(bytes)}`
  textByBytes.set(bytes, known)
  return known
}

/** A copy of plain data. Bytes are shared, because no step changes them. Frozen values are shared, because nothing can change them. */
function copied<T>(value: T): T {
  // Each branch returns the type that it received: an array for an array, a map for a map, a set for a set, an object
  // for an object.
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return value
  if (Object.isFrozen(value)) return value
  if (Array.isArray(value)) return value.map(copied) as T
  if (value instanceof Map) return new Map([...value].map(([key, inner]) => [key, copied(inner)])) as T
  if (value instanceof Set) return new Set([...value].map(copied)) as T
  const copy: Record<string, unknown> = {}
  for (const [name, inner] of Object.entries(value)) copy[name] = copied(inner)
  return copy as T
}
