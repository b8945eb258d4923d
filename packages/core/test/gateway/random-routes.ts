import fc from 'fast-check'

/** Random routes of a gateway that are often similar, and requests that often match one of them. */

export interface Match {
  readonly path?: { readonly match: 'EXACT' | 'PREFIX' | 'REGEX'; readonly value: string }
  readonly method?: string
  readonly headers: readonly { readonly name: string; readonly match: string; readonly value?: string }[]
  readonly queryParameters: readonly { readonly name: string; readonly match: string; readonly value: string }[]
}
export interface Route {
  readonly name: string
  /** The hostname of the only listener that the route is bound to; absent: all listeners. */
  readonly listener?: string | undefined
  readonly hostnames: readonly string[]
  readonly matches: readonly Match[]
}
export interface Request {
  readonly host: string
  readonly path: string
  readonly method: string
  readonly headers: Readonly<Record<string, string>>
  readonly query: Readonly<Record<string, string>>
}

const path = fc.record({
  match: fc.constantFrom('EXACT' as const, 'PREFIX' as const, 'PREFIX' as const),
  value: fc.constantFrom('/', '/a', '/a/', '/a/b', '/ab', '/a/b/c'),
})
const pattern = fc.record({ match: fc.constant('REGEX' as const), value: fc.constantFrom('/a.*', '/.*', '/[ab]+') })
const text = fc.oneof(
  fc.record({ match: fc.constant('EXACT'), value: fc.constantFrom('1', '2') }),
  fc.record({ match: fc.constant('REGEX'), value: fc.constantFrom('[12]', '1') }),
)
const header = fc.tuple(
  fc.constantFrom('x-one', 'x-two'),
  fc.oneof(text, fc.record({ match: fc.constantFrom('PRESENT', 'ABSENT') })),
)
/** Mostly empty lists, so that routes are often similar. */
const few = <T>(one: fc.Arbitrary<T>): fc.Arbitrary<T[]> =>
  fc.oneof({ arbitrary: fc.constant<T[]>([]), weight: 2 }, fc.array(one, { minLength: 1, maxLength: 2 }))
export const match: fc.Arbitrary<Match> = fc
  .record({
    path: fc.option(fc.oneof({ arbitrary: path, weight: 3 }, pattern), { nil: undefined }),
    method: fc.option(fc.constantFrom('GET', 'POST'), { nil: undefined }),
    headers: few(header.map(([name, rest]) => ({ name, ...rest }))),
    queryParameters: few(fc.tuple(fc.constantFrom('q', 'r'), text).map(([name, rest]) => ({ name, ...rest }))),
  })
  .map(({ path: found, method, ...rest }) => ({
    // A match must have at least one criterion.
    path: found ?? (method ? undefined : { match: 'PREFIX' as const, value: '/' }),
    method,
    ...rest,
  }))
  .map(({ path: found, method, ...rest }) => ({
    ...rest,
    ...(found ? { path: found } : {}),
    ...(method ? { method } : {}),
  }))

export const listener = fc.constantFrom('*', '*.x', 'a.x', '*.b.x')
export const hostname = fc.constantFrom('*', '*.x', 'a.x', '*.b.x', 'c.b.x', 'z')
export const routes: fc.Arbitrary<readonly Route[]> = fc.uniqueArray(
  fc.record({
    name: fc.constantFrom('k', 'l', 'm', 'n'),
    listener: fc.option(listener, { nil: undefined }),
    hostnames: fc.uniqueArray(hostname, { maxLength: 2 }),
    matches: fc.array(match, { minLength: 1, maxLength: 3 }),
  }),
  { minLength: 1, maxLength: 4, selector: (one) => one.name },
)
const value = fc.constantFrom('1', '2', '3')
export const request: fc.Arbitrary<Request> = fc.record({
  host: fc.constantFrom('a.x', 'b.x', 'c.b.x', 'd.b.x', 'z'),
  path: fc.constantFrom('/', '/a', '/a/', '/a/b', '/ab', '/a/b/c', '/a/b/c/d', '/b'),
  method: fc.constantFrom('GET', 'POST'),
  headers: fc.dictionary(fc.constantFrom('x-one', 'x-two'), value),
  query: fc.dictionary(fc.constantFrom('q', 'r'), value),
})
